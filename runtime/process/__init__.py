"""The processes of a stage. `runtime/README.md` shows their modules in order; the stage itself is `runtime/stages/<kind>.py`."""
