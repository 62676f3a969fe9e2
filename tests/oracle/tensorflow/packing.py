"""What cramjam packs bytes to, by snappy: lists of hex, in JSON, from the input to the output."""

import json
import sys

import cramjam

plain = map(bytes.fromhex, json.load(sys.stdin))
json.dump([bytes(cramjam.snappy.compress_raw(each)).hex() for each in plain], sys.stdout)
