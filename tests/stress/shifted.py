"""Run kubeimage with another idea of the time: python shifted.py SECONDS PYTHON -m kubeimage ARGUMENTS.

Only this process sees the shift; the kernel goes on stamping files with its own clock.
"""

import runpy
import sys
import time

offset = float(sys.argv[1])
now, now_ns = time.time, time.time_ns
time.time = lambda: now() + offset
time.time_ns = lambda: now_ns() + int(offset * 1e9)
sys.argv = ["kubeimage", *sys.argv[5:]]
runpy.run_module("kubeimage", run_name="__main__", alter_sys=True)
