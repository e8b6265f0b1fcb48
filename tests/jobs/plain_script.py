"""A plain script as they were written in 2013."""

import json


def map(k, d, v, cx):
    j = json.loads(v)
    info = j["info"]
    cx.write((d[1], info["OS"]), 1)


def setup_reduce(cx):
    cx.field_separator = ","
    cx.writeline("app,os,count")


def reduce(k, v, cx):
    cx.writecsv([k[0], k[1], sum(v)])
