"""Options of verify for regressions: many images, jobs, the JUnit report."""

from xml.etree import ElementTree as ET

import numpy as np
import pytest

from spikeloom import api
from spikeloom.quant import data
from spikeloom.quant.data import DataError


def test_training_images_follow_the_test_images(network):
    digits = data.load("digits")
    images = api.frames(network, "digits", 400, more=True)
    bits = network.input.high.bit_length()
    expected = np.concatenate([digits.test_x, digits.train_x[:3]]) >> digits.high.bit_length() - bits
    assert np.array_equal(images.pixels, expected)
    assert images.labels is not None
    assert np.array_equal(images.labels, [*digits.test_y, *digits.train_y[:3]])
    with pytest.raises(DataError, match=r"has 1797 images, so their number must be in 1\.\.1797, not 1798"):
        api.frames(network, "digits", 1798, more=True)
    with pytest.raises(DataError, match="has 397 test images"):
        api.frames(network, "digits", 400)


def test_a_report_of_every_boundary(cli, design, tmp_path):
    report = tmp_path / "new" / "report.xml"
    ran = cli("verify", design, "--data", "digits", "-n", 2, "--simulator", "amaranth", "--junit", report, "--json")
    assert ran.status == 0, ran.err
    suite = ET.parse(report).getroot().find("testsuite")
    assert suite is not None and suite.attrib["failures"] == "0"
    cases = [case.attrib["name"] for case in suite.iter("testcase")]
    assert len(cases) == ran.json["boundaries"] + 1 == int(suite.attrib["tests"]) and "i" in cases
    properties = {p.attrib["name"]: p.attrib["value"] for p in suite.iter("property")}
    assert properties["spikeloom_cycles"] == str(ran.json["cycles"])
    assert properties["spikeloom_classes"] == " ".join(map(str, ran.json["classes"]))


def test_options_that_do_not_go_together(cli, design):
    ran = cli("verify", design, "--data", "digits", "--ports-only")
    assert ran.status == 2 and "it needs --netlist" in ran.err
    ran = cli("verify", design, "--data", "digits", "-n", 1, "--netlist", "ecp5", "--simulator", "amaranth")
    ran.refused("A netlist is simulated in verilator only, not in amaranth")
