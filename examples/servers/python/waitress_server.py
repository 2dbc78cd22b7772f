"""waitress with what waitress-serve lacks: SIGTERM ends it as Ctrl-C does, with what runs finished.

usage: waitress_server.py HOST PORT
"""

import signal
import sys

from waitress import serve

from wsgi import app

# serve() waits for its threads when SystemExit reaches it; SIGTERM's default would end the process.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
serve(app, host=sys.argv[1], port=int(sys.argv[2]))
