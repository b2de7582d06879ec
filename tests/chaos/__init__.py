"""Everything at once, with faults: `python -m tests.chaos --seed N --jobs 300 --minutes 15`.

plan.py draws jobs and faults from the seed · system.py runs the real parts, parts.py keeps them ·
s3_proxy.py stands before the S3 server · people.py submits and cancels over HTTP · faults_*.py do
harm · audit.py, in a process of its own, looks at what became of it · run.py puts it in order.
"""
