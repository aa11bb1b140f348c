"""Reports: one self-contained HTML file of what a bridge, or every way to bridge models, does.

A report needs no network and no scripts: styles, charts (SVG), images and sounds are in the file.
"""

from ltzoo.evaluation.report.page import write_bench_report, write_bridge_report

__all__ = ["write_bench_report", "write_bridge_report"]
