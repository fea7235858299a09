"""A machine that failed a stage is remembered, avoided, and not blamed for ever."""

from c2f_spec.store import records
from c2f_spec.store.open import open_store

STAGE = ("grpo", "0" * 64)


def fail_on(objects, node, pod):
    records.add_node_fault(objects, *STAGE, pod=pod, node=node, what="a GPU is lost", line="Xid 79")


def test_a_fault_is_remembered_once_a_pod(tmp_path):
    objects = open_store(str(tmp_path))
    for pod, node in (("1", "a"), ("1", "a"), ("2", "b"), ("3", "a")):
        fail_on(objects, node, pod)
    assert records.faulty_nodes(objects, *STAGE) == ("a", "b")
    assert len(records.read_failures(objects, *STAGE)) == 3
    assert "on the node a" in records.read_failures(objects, *STAGE)[0]["message"]


def test_a_fault_is_forgiven_as_often_as_there_are_other_machines_to_try(tmp_path):
    objects = open_store(str(tmp_path))
    for number in range(records.MAX_MOVES):
        fail_on(objects, f"n{number}", str(number))
        assert records.is_failed(objects, *STAGE)
        assert records.retry_after_node_fault(objects, *STAGE)
        assert not records.is_failed(objects, *STAGE)
    fail_on(objects, "last", "last")
    assert not records.retry_after_node_fault(objects, *STAGE)
    assert records.is_failed(objects, *STAGE)


def test_a_failure_of_the_stage_itself_is_not_forgiven(tmp_path):
    objects = open_store(str(tmp_path))
    records.add_failure(objects, *STAGE, {"code": 70, "message": "a bug"})
    assert not records.retry_after_node_fault(objects, *STAGE)
    assert records.faulty_nodes(objects, *STAGE) == ()
