"""A thousand varied texts: prose, code, CJK and other scripts, emoji, white space, control characters.

The same ones in every run: a seed decides. Some are one kind, some mixtures, some arbitrary code points.
"""

# ruff: noqa: E501 (a text is as long as it is)

from __future__ import annotations

import random

COUNT = 1000

_PROSE = (
    "The quick brown fox can't jump over the lazy dog's 42 bowls; it's 3.14159, isn't it?",
    "I've told you: WE'RE late, they'Ll wait, y'all'd've known! (Really?) — “quoted” … 100,000.50 €",
    "Übergrößenträger äußern naïve façade; Straße, œuvre, İstanbul, ﬁne ﬂow, A\u0308 e\u0301 n\u0303.",
    "Съешь же ещё этих мягких французских булок, да выпей чаю. Ελληνικά κείμενα και αριθμοί 123.",
    "كيف حالك؟ مرحبا بالعالم ١٢٣. שלום עולם, מה נשמע? नमस्ते दुनिया, कैसे हैं आप? สวัสดีชาวโลก ทดสอบ",
    "Tiếng Việt có dấu thanh; Türkçe karakterler: ğüşıöç; Polski: zażółć gęślą jaźń; Íslenska: þæö.",
)
_CJK = (
    "我想在apple工作1314151天～", "今日は良い天気ですね。東京タワーへ行きました！", "안녕하세요 세계, 테스트 123입니다.",
    "繁體中文測試：「引號」、頓號、①②③", "ｆｕｌｌｗｉｄｔｈ　ＡＢＣ１２３", "𠜎𠜱𠝹𠱓", "ㄅㄆㄇㄈ ー々〇〻", "仮名かなカナｶﾅ",
)  # fmt: skip
_CODE = (
    "def f(x: int) -> str:\n    return f\"{x!r:>10}\"  # comment\n\n\nclass A(B):\n\tpass\n",
    "#include <stdio.h>\nint main(void) {\n\tprintf(\"%d\\n\", 0xFF & ~(1<<3));\r\n\treturn 0;\n}\n",
    "SELECT * FROM t WHERE a >= 10 AND b != 'x''y' -- done\n", "const f = async (a, ...b) => { await g?.h ?? 0; }",
    "<div class=\"a-b\" id='c'>&nbsp;&lt;x&gt;</div>\n<!-- no -->", "{\"k\": [1, -2.5e-10, null, true], \"ü\": \"\\u00fc\"}",
    "for i in $(seq 1 10); do echo \"$i\" | tee -a /dev/null 2>&1; done", "\\frac{a_1^2}{\\sqrt{b}} = \\sum_{i=0}^{n} x_i",
    "https://example.org/a/b?c=d&e=%20f#g user.name+tag@host.example 192.168.0.1:8080 C:\\dir\\file.txt",
    "if(a==b&&c!=d||!e){x+=1;y-=2;z*=3;w<<=4;}//===---***", "\tindented\n\t\tmore\n        spaces\n  \n\t \n",
)  # fmt: skip
_EMOJI = (
    "🚀😶\u200d🌫\ufe0f✅🦙🦙", "👨\u200d👩\u200d👧\u200d👦 👍🏽 🇩🇪🇯🇵 ☺\ufe0f ☹ ❤\ufe0f\u200d🔥", "①🅰️🈁️⌨️→←⇒∀∃∑∫√∞≈≠",
    "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f 🧑🏿\u200d🚀",
)  # fmt: skip
_SPACES = (
    " ", "  ", "   ", "\t", "\n", "\n\n", "\r\n", " \n ", "\t\t\n", "        ", " \u00a0 ", "\u3000", "\u2003\u2009",
    "\u200b", "\n \n  \n   \n", "\t \t", "                                ", "\v\f", "\u2028\u2029", "\u0085",
)  # fmt: skip
_CONTROL = (
    "\x01\x02\x03", "\x7f", "\x1b[31mred\x1b[0m", "a\x00b", "\ufeffbom", "\u202eright\u202c", "\ufffd", "\x08\x0e\x1f",
    "soft\u00adhyphen", "\u2060joiner\u2060", "\ue000private", "z\u0334\u0322a\u0310\u0311l\u0332g\u033fo",
)  # fmt: skip
_NUMBERS = (
    "0",
    "7",
    "42",
    "123",
    "1234",
    "12345678901234567890",
    "3.14",
    "1e-9",
    "٣٤٥",
    "Ⅷ½²",
    "1,234.5",
    "0x1F",
)
_KINDS = (_PROSE, _CJK, _CODE, _EMOJI, _SPACES, _CONTROL, _NUMBERS)


def strings(count: int = COUNT) -> list[str]:
    """`count` different texts, the same ones every time."""
    chance = random.Random(6)
    found: dict[str, None] = dict.fromkeys(text for kind in _KINDS for text in kind)
    while len(found) < count:
        found.setdefault(chance.choice((_mixture, _cut, _arbitrary, _spaced))(chance))
    return list(found)[:count]


def _mixture(chance: random.Random) -> str:
    kinds = [chance.choice(_KINDS) for _ in range(chance.randint(2, 6))]
    return chance.choice(("", " ", "\n")).join(chance.choice(kind) for kind in kinds)


def _cut(chance: random.Random) -> str:
    text = chance.choice(chance.choice((_PROSE, _CODE, _CJK, _EMOJI)))
    start = chance.randrange(len(text))
    return text[start : start + chance.randint(1, 40)]


def _arbitrary(chance: random.Random) -> str:
    ranges = ((0x20, 0x7F), (0x20, 0x7F), (0xA0, 0x2FF), (0x370, 0x1FFF), (0x2000, 0x2FFF), (0x3000, 0xD7FF),
              (0xF900, 0xFFFD), (0x10000, 0x1F9FF))  # fmt: skip
    return "".join(chr(chance.randrange(*chance.choice(ranges))) for _ in range(chance.randint(1, 24)))


def _spaced(chance: random.Random) -> str:
    words = " ".join(chance.choice(_PROSE + _CODE) for _ in range(2)).split()
    picked = [chance.choice(words) for _ in range(chance.randint(1, 8))]
    return "".join(word + chance.choice(_SPACES) for word in picked)
