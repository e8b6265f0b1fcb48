"""A plain script with a combiner."""

import json


def map(k, d, v, cx):
    cx.write((d[1], json.loads(v)["info"]["OS"]), 1)


def setup_reduce(cx):
    cx.writeline("app,os,count")


def combine(k, v, cx):
    cx.write(k, sum(v))


def reduce(k, v, cx):
    cx.writecsv([k[0], k[1], sum(v)])
