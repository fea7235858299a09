"""Logs of broken machines, and of programs that only look like them."""

import pytest

from c2f_spec.hardware_faults import TAIL, Fault, faulty_machines, find_hardware_fault

BROKEN = {
    "[1234.5] NVRM: Xid (PCI:0000:3b:00): 79, pid=1234, GPU has fallen off the bus.": "Xid 79",
    "NVRM: Xid (PCI:0000:3b:00): 48, pid='<unknown>', name=<unknown>, DBE (Double Bit Error)": "Xid 48",
    "RuntimeError: CUDA error: uncorrectable ECC error encountered": "ECC",
    "torch.AcceleratorError: CUDA error: uncorrectable NVLink error detected during the execution": "ECC",
    "Unable to determine the device handle for GPU 0000:3B:00.0: GPU is lost.  Reboot the system": "lost",
    "torch.distributed.DistBackendError: NCCL error in: ../ProcessGroupNCCL.cpp:2021, unhandled system error (run with NCCL_DEBUG=INFO for details), NCCL version 2.26.2": "below NCCL",
    "ncclSystemError: System call (e.g. socket, malloc) or external library call failed or device error.": "below NCCL",
    "node-3:77:120 [0] NCCL WARN NET/IB : Got completion from peer 10.0.0.2 with status=12 opcode=0 len=0": "InfiniBand",
    "RuntimeError: Unexpected error from cudaGetDeviceCount(): Error 802: CUDA_ERROR_SYSTEM_NOT_READY": "NVLink",
}
SOUND = (
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB",
    "RuntimeError: CUDA error: an illegal memory access was encountered",
    "NVRM: Xid (PCI:0000:3b:00): 31, pid=1234, name=python, MMU Fault",
    "NVRM: Xid (PCI:0000:3b:00): 13, Graphics Exception",
    "NCCL INFO NET/IB : Using [0]mlx5_0:1/IB [RO]",
    "torch.distributed.DistBackendError: NCCL error: unhandled cuda error",
    "step 12/400 loss 0.53",
)


@pytest.mark.parametrize("line", BROKEN)
def test_a_broken_machine_is_detected(line):
    found = find_hardware_fault(["step 1", line, "Traceback (most recent call last):"])
    assert found is not None
    assert BROKEN[line] in found.description
    assert found.line == line.strip()


@pytest.mark.parametrize("line", SOUND)
def test_a_program_that_fails_is_not_the_machines_fault(line):
    assert find_hardware_fault([line]) is None


def test_only_the_end_of_a_log_counts():
    line = next(iter(BROKEN))
    assert find_hardware_fault([line, *["step"] * TAIL]) is None
    assert find_hardware_fault([line, *["step"] * (TAIL - 1)]) is not None


def test_a_stage_with_a_hardware_fault_is_retried_and_not_called_a_bug():
    from c2f_spec.errors import StageExit
    from runtime.process.worker import classify_error

    code, message, _ = classify_error(RuntimeError("CUDA error: uncorrectable ECC error encountered"))
    assert code is StageExit.TRANSIENT
    assert "ECC" in message
    code, *_ = classify_error(RuntimeError("CUDA error: an illegal memory access was encountered"))
    assert code is StageExit.BUG


def test_of_several_machines_the_one_with_a_local_fault_is_the_faulty_one():
    nccl, xid = Fault("an error below NCCL", "", local=False), Fault("Xid 79", "", local=True)
    assert faulty_machines([("a", nccl), ("b", xid), ("c", nccl)]) == [("b", xid)]
    assert faulty_machines([("a", nccl)]) == [("a", nccl)]
    assert faulty_machines([("a", nccl), ("b", nccl)]) == []  # a network between them: who knows
    assert faulty_machines([]) == []
