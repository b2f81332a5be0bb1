"""The slippage report for people: table, files, page.

Belongs here: reading the store, printing and writing. Does not belong here: figures (`relay.core.report`).
"""

from relay.reporting.detail import (
    CopyPoint,
    FillPoint,
    LiquidationPoint,
    PriceRow,
    ReportDetail,
    Stretch,
    VerdictPoint,
    build_detail,
)
from relay.reporting.files import csv_text, json_text, write_json
from relay.reporting.findings import findings, headline
from relay.reporting.html import write_html
from relay.reporting.slippage import FORMATS, build_report, slippage
from relay.reporting.table import render_table

__all__ = [
    "FORMATS",
    "CopyPoint",
    "FillPoint",
    "LiquidationPoint",
    "PriceRow",
    "ReportDetail",
    "Stretch",
    "VerdictPoint",
    "build_detail",
    "build_report",
    "csv_text",
    "findings",
    "headline",
    "json_text",
    "render_table",
    "slippage",
    "write_html",
    "write_json",
]
