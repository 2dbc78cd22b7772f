"""scripts/server_table with a websample that only pretends."""

import json
import os
import signal
import sys
import tempfile
import unittest
from pathlib import Path

from server_table import Unavailable, document, install, measure
from server_table.catalogue import SERVERS

SERVER = SERVERS[0]
RUN = {"lost": 3, "requests": 100, "killed": 0, "rollout_seconds": 4.04, "send_delay_ms": {"p99": 2.5},
       "causes": [{"cause": "dead_pod", "count": 1}, {"cause": "idle_closed", "count": 2}],
       "streams": [{"name": "new GET /", "lost": 3}]}
PRETENDER = """#!{python}
import json, os, pathlib, signal, sys, time
place = pathlib.Path({place!r})
codes = json.loads((place / "codes").read_text())
code = codes.pop(0)
(place / "codes").write_text(json.dumps(codes))
(place / "arguments").write_text(json.dumps(sys.argv[1:]))
(place / "environment").write_text(json.dumps(dict(os.environ)))
out = pathlib.Path(sys.argv[sys.argv.index("--out") + 1])
if code == "wait":
    def leave(*_):
        (place / "interrupted").touch()
        sys.exit(130)
    signal.signal(signal.SIGINT, leave)
    (place / "directory").write_text(str(out.parent))
    print("started", flush=True)
    os.kill({parent}, signal.SIGINT)
    signal.pause()
if code == 0:
    out.mkdir()
    (out / "report.json").write_text({report!r})
print("the load generator did not keep up", file=sys.stderr)
sys.exit(code)
"""


class Rollouts(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.place = Path(directory.name)
        (self.place / SERVER.kind).mkdir()
        install.APPS = self.place
        self.websample = self.place / "websample"

    def pretend(self, *codes, runs=(RUN,)):
        (self.place / "codes").write_text(json.dumps(codes))
        self.websample.write_text(PRETENDER.format(
            python=sys.executable, place=str(self.place), parent=os.getpid(),
            report=json.dumps({"runs": runs})))
        self.websample.chmod(0o755)

    def rollout(self, variant="plain", repeat=1):
        return measure.rollout(self.websample, SERVER, variant, 7, repeat)

    def told(self, name):
        return json.loads((self.place / name).read_text())

    def test_one_rollout_is_one_result(self):
        self.pretend(0)
        result = self.rollout("hook")
        self.assertEqual((result["lost"], result["of"], result["seconds"], result["tries"]),
                         (3, 100, 4.0, 1))
        self.assertEqual(list(result["causes"].items()), [("idle_closed", 2), ("dead_pod", 1)])
        arguments = self.told("arguments")
        self.assertEqual(arguments[arguments.index("--pre-stop") + 1], "sleep:5s")
        self.assertEqual(arguments[arguments.index("--seed") + 1], "7")
        self.assertEqual(arguments[arguments.index("--") + 1:], SERVER.command_of("hook"))

    def test_several_are_added_up(self):
        self.pretend(0, runs=(RUN, RUN))
        result = self.rollout(repeat=2)
        self.assertEqual((result["lost"], result["of"], result["seconds"]), (6, 200, 4.0))
        self.assertIn("--repeat", self.told("arguments"))

    def test_no_proxy_of_the_environment_reaches_a_server(self):
        self.pretend(0)
        os.environ["http_proxy"] = os.environ["HTTPS_PROXY"] = "http://192.0.2.1:1"
        self.addCleanup(os.environ.pop, "http_proxy")
        self.addCleanup(os.environ.pop, "HTTPS_PROXY")
        self.rollout()
        self.assertFalse([name for name in self.told("environment") if name.lower().endswith("_proxy")])

    def test_a_void_rollout_is_tried_again(self):
        self.pretend(75, 75, 0)
        result = self.rollout()
        self.assertEqual((result["lost"], result["tries"]), (3, 3))

    def test_what_stays_void_has_no_numbers(self):
        self.pretend(75, 75, 75, 0)
        result = self.rollout()
        self.assertNotIn("lost", result)
        self.assertEqual(result["void"], "the load generator did not keep up")
        self.assertEqual(self.told("codes"), [0])

    def test_a_server_that_does_not_run_is_told(self):
        self.pretend(69)
        with self.assertRaisesRegex(Unavailable, "uvicorn: websample exited with 69"):
            self.rollout()

    def test_a_websample_without_the_lab_measures_nothing(self):
        self.websample.write_text("#!/bin/sh\nexit 64\n")
        self.websample.chmod(0o755)
        for given in (self.websample, self.place / "missing"):
            with self.assertRaisesRegex(Unavailable, "no websample with the lab"):
                measure.program(str(given))
        self.websample.write_text("#!/bin/sh\nexit 0\n")
        self.assertEqual(measure.program(str(self.websample)), self.websample.resolve())

    def test_an_interrupt_ends_the_lab_and_leaves_nothing(self):
        # Whoever runs this in the background has it ignored.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        self.addCleanup(signal.signal, signal.SIGINT, before)
        self.pretend("wait")
        with self.assertRaises(KeyboardInterrupt):
            self.rollout()
        self.assertTrue((self.place / "interrupted").exists())
        self.assertFalse(Path((self.place / "directory").read_text()).exists())


class Results(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        document.STATES = Path(directory.name)

    def result(self, **more):
        return {"command": SERVER.shown("plain"), "pre_stop": "none", "lost": 1, "of": 9, **more}

    def test_the_next_run_goes_on_where_one_ended(self):
        document.Measured({"seed": 1}).put(SERVER, "plain", "1.0", self.result())
        again = document.Measured({"seed": 1})
        self.assertEqual(again.get(SERVER, "plain", "1.0")["lost"], 1)
        self.assertIsNone(again.get(SERVER, "hook", "1.0"))

    def test_what_was_measured_otherwise_is_measured_again(self):
        measured = document.Measured({"seed": 1})
        measured.put(SERVER, "plain", "1.0", self.result())
        self.assertIsNone(document.Measured({"seed": 2}).get(SERVER, "plain", "1.0"))
        self.assertIsNone(measured.get(SERVER, "plain", "1.1"))
        measured.put(SERVER, "plain", "1.0", self.result(command="another"))
        self.assertIsNone(measured.get(SERVER, "plain", "1.0"))
        measured.put(SERVER, "plain", "1.0", self.result(void="too late"))
        self.assertIsNone(measured.get(SERVER, "plain", "1.0"))

    def test_a_part_is_put_among_the_rest(self):
        other = SERVERS[1]
        before = {"servers": [{"name": other.name, "version": "2", "variants": {"hook": {"lost": 5}}}]}
        measured = document.Measured({})
        measured.put(SERVER, "plain", "1.0", self.result())
        measured.put(SERVER, "hook", "1.0", self.result())
        rows = measured.only([SERVER], ["plain"]).document(before)["servers"]
        self.assertEqual([(row["name"], list(row["variants"])) for row in rows],
                         [(SERVER.name, ["plain"]), (other.name, ["hook"])])


if __name__ == "__main__":
    unittest.main()
