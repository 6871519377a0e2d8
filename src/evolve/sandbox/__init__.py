"""Run anyone's strategy code behind a wall made by the kernel: `evolve.sandbox.executor.SafeExecutor`."""
