"""What `doctor` looks at in a cluster: a function a question, each answered ok, warning or error with the way out.

Nothing is changed. What the identity may not see is a warning that says so: not every user may list nodes, and the
answer is then somebody else's to give.
"""
