"""Texts on which tokenizers go wrong, as (name, bytes)."""

CODE = {
    "c++": '#include <vector>\n\ntemplate <typename T>\nT max(const std::vector<T>& v) {\n  T m = v[0];  // first\n\tfor (auto&& x : v) if (x > m) m = x;\n  return m;\n}\n',
    "python": 'def f(self, *args, **kw):\n    """Doc."""\n    return {k: f"{v!r:>10}" for k, v in kw.items() if v is not None}\n\n\nif __name__ == "__main__":\n    f()\n',
    "javascript": "const f = async ({a, b = 2}) => { await g(`x${a ?? b}y`); /* c */ };\nexport default f;\n",
    "rust": "impl<'a, T: 'a + Send> Foo<'a, T> {\n    pub fn new() -> Result<Self, Box<dyn Error>> { Ok(unsafe { mem::zeroed() }) }\n}\n",
    "html": '<!DOCTYPE html>\n<p class="a b">1 &lt; 2 &amp; it\'s</p><br/>\n',
    "json": '{"a": [1, 2.5e-10, null, true], "b": {"c": "\\u00e9\\n"}}\n',
    "sql": "SELECT COUNT(*) FROM t WHERE a<>'it''s' AND b IS NOT NULL;-- x\n",
    "makefile": "all: $(OBJS)\n\t@$(CC) -o $@ $^ $(LDFLAGS) || exit 1\n",
    "latex": "\\begin{align*} \\frac{a_1}{b^2} &= \\sum_{i=0}^{\\infty} x_i \\\\ \\end{align*} % c\n",
    "apl": "life ← {⊃1 ⍵ ∨.∧ 3 4 = +/ +⌿ ¯1 0 1 ∘.⊖ ¯1 0 1 ⌽¨ ⊂⍵}\n",
}
SCRIPTS = {
    "chinese": "你好，世界！今天天气怎么样？我想买3个苹果和10公斤大米。“人工智能”正在改变世界……",
    "japanese": "吾輩は猫である。名前はまだ無い。カタカナとひらがな、ｶﾞｷﾞｸﾞ、が（か+濁点: が）。",
    "korean": "안녕하세요 세계! 대한민국의 수도는 서울이다. ㅋㅋㅋ",
    "arabic": "مرحبا بالعالم! السَّلَامُ عَلَيْكُمْ، كيف حالك؟ ١٢٣٤٥",
    "hebrew": "שָׁלוֹם עוֹלָם! בְּרֵאשִׁית בָּרָא אֱלֹהִים",
    "hindi": "नमस्ते दुनिया! क़ ख़ ज़ फ़ और क्षत्रिय, ज्ञान १२३।",
    "bengali": "বাংলা ভাষা: কো কৌ ক্ষ",
    "tamil": "தமிழ் மொழி கொ கோ கௌ",
    "thai": "สวัสดีชาวโลก ภาษาไทยไม่มีช่องว่างระหว่างคำ ๑๒๓",
    "khmer": "សួស្តី​ពិភពលោក",
    "burmese": "မင်္ဂလာပါ ကမ္ဘာလောက ဦ",
    "tibetan": "བཀྲ་ཤིས་བདེ་ལེགས། ཱི",
    "russian": "Привет, мир! Ёлка й й ё",
    "greek": "Γειά σου Κόσμε! ᾳ ΐ ΰ Ω",
    "german": "Straße, Äpfel und Öl; 12.345,67 € – »ja«",
    "french": "L'été où l’œuvre fût achevée, c'est-à-dire: «ça» n'est qu'un Nœud…",
    "vietnamese": "Tiếng Việt có dấu: ế ệ ữ ự ằ",
    "turkish": "İstanbul ıssız I'm i̇",
    "georgian": "გამარჯობა მსოფლიო",
    "ethiopic": "ሰላም ልዑል ፩፪፫",
}
SYMBOLS = {
    "emoji": "👋🏽 👨‍👩‍👧‍👦 🏳️‍🌈 ❤️ 🇩🇪🇫🇷 1️⃣ 🤦🏻‍♀️🧑🏿‍🚀",
    "math": "∀x∈ℝ: ⌈x⌉ = −⌊−x⌋, ∮E·da = Q, ½ ² ³ Ⅷ ㊿ 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝟘𝟙",
    "zalgo": "Z̷̢̛͖͈͔̹̗͈̊̏͑ͅa̶̧͕̮͑̎l̸̨̰͚̽͘g̵̡̨̛̹͎͛̈́ǫ̷͎̃̆",
    "box drawing": "┌──┐\n│▒▒│\n└──┘ █▓░",
    "private use": "\ue000\uf8ff \U000f0000\U0010fffd a\ue001b",
    "unassigned": "\u0378 \u0380a \U0001f0ff \U000e0080 \uffff \ufffe x\u05ff1",
    "new in Unicode": "\u1c89\u1c8a \U00010d40\U00010d41 \U000105c9 \u0897 \U000323b0\U000323b1 a\U00011f41 \U00011938",
    "format characters": "a\u200bb\u200cc\u200dd\ufeffe\u00adf\u2060g \u202eabc\u202c",
    "controls": "a\x00b\x00\x00 \x01\x02 \x1b[31mred\x1b[0m \x7f \x80\x9f",
    "variation": "葛\U000e0100城 ☺︎☺️",
    "fullwidth": "Ｈｅｌｌｏ　Ｗｏｒｌｄ！１２３",
}
NORMALIZATION = {
    "composed and not": "é e\u0301 Å A\u030a \u212b ñ n\u0303 ệ e\u0302\u0323 e\u0323\u0302",
    "reordered": "a\u0301\u0327 a\u0327\u0301 q\u0307\u0323 \u0345\u0334x >\u0338 <\u0338",
    "jamo": "\u1112\u1161\u11ab\u1100\u1173\u11af \u1100\u1161 \uac00\u11a8 \u1161\u11a8 \u1100\u1100\u1161",
    "singletons": "\u2126 \u212a \u037e \u0340 \u0344 \u0374 \u1f71 \u2329 \uf900 \U0002f800",
    "excluded": "\u0958 \u09dc \u0a33 \u0b5c \ufb1d \ufb2a \u2adc \u0f43 \U0001d15e \U0001d160",
    "marks first": "\u0301abc \u0301\u0301 \u0327 \n\u0301x 1\u0301 \u0308'\u0301s",
    "indic": "\u09c7\u09be \u0b47\u0b57 \u0bc6\u0bbe \u0dd9\u0dcf\u0dca \u1025\u102e \u1b05\u1b35 \U000110b9\U000110ba",
}
SPACE = {
    "runs of spaces": "a b  c   d    e" + " " * 100 + "f" + " " * 300,
    "spaces alone": " " * 1000,
    "newlines": "\n\n\na\n\n \n  b\n   \n\n\n\n" + "\n" * 70,
    "tabs": "\t\ta\tb \t c\n\t\n\t\td" + "\t" * 50,
    "crlf": "a\r\nb\r\n\r\n c\r\rd \r\n \r e\r",
    "unicode spaces": "a\u00a0b\u2003\u2003c\u3000d\u1680e \u2028f\u2029\u2029g\x85h\x0b\x0ci",
    "mixed": " \u00a0\n \t\u3000\n\n x \u00a0 y\u00a0 z \n",
    "trailing": "word ",
    "trailing newline and spaces": "word\n   ",
    "before punctuation": "a , b  . c\t! d\n? e\u00a0; (f) [ g ]",
}
WORDS = {
    "empty": "",
    "contractions": "I'm we're THEY'LL he'd you've it's can't 'S 'T 'Re 'vE 'lL 'x '' 'sam 'tis 'l 'r 'v don''t 'd'd",
    "folded contractions": "it'\u017f '\u017fa '\u212a 'ﬆ '\u1e9e ' \u017f 'ſſ \u2019s",
    "digits": "1 12 123 1234567890 3.14159 1,000,000 0x1F 2e10 1st ٣٤٥ ३४ ²³ ½ 10a a10 ١a",
    "punctuation": "!!! ... ?!?! -- --- *** #### ~~~ ===> <=> ::= \\\\ // @user #tag $5 50% a&b 'quoted' \"q\" `c`\n!!\n\n??\r\n",
    "identifiers": "snake_case camelCase PascalCase SCREAMING_CASE kebab-case __dunder__ a1b2c3 x86_64 utf8",
    "url": "https://example.org/a/b?c=d&e=f%20g#h user@example.org 192.168.0.1:8080 C:\\dir\\f.txt",
    "long word": "antidisestablishmentarianism" * 20,
    "one letter": "a" * 1000,
    "no merges": "qzxjqzxjvvkqxzj" * 10,
    "base64": "TWFuIGlzIGRpc3Rpbmd1aXNoZWQsIG5vdCBvbmx5IGJ5IGhpcyByZWFzb24sIGJ1dA==",
}
SPECIAL = {
    "chat": "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi!<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\nHello<|im_end|>\n<|endoftext|>",
    "next to text": "a<|im_start|>b <|im_end|> c<|endoftext|><|endoftext|>  <think>x</think>'s",
    "broken": "<|im_start| > <|im_start <|im_<|im_start|>|> <||im_end|> <|IM_START|> <think <think>>",
    "with a mark": "<think>\u0338 x<|im_end|>\u0301 e<|im_end|>\u0301",
    "between spaces": "  <|im_end|>  \n <|im_end|>\n\n",
    "tools": '<tool_call>\n{"name": "f"}\n</tool_call><tool_response>x</tool_response>',
    "vision": "<|vision_start|><|image_pad|><|vision_end|><|fim_prefix|>a<|fim_suffix|>[PAD151646]",
}
INVALID = {
    "lone bytes": b"a\xffb\xfe \x80\x80 \xc0\xaf",
    "truncated": b"\xe4\xbd \xf0\x9f\x98 \xc3",
    "truncated at the end": b"abc \xf0\x9f\x98",
    "surrogates": b"\xed\xa0\x80\xed\xb0\x80 x",
    "too large": b"\xf4\x90\x80\x80 \xf8\x88\x80\x80\x80",
    "overlong": b"\xe0\x80\x80 \xf0\x80\x80\x80 \xc1\xbf",
    "latin-1": "Grüße aus Köln".encode("latin-1"),
    "shift-jis": "日本語のテキスト".encode("shift-jis"),
    "utf-16": "hello".encode("utf-16"),
    "in a special token": b"<|im_\xffstart|> <|im_start|>\xff",
}


def corpus():
    for group in (WORDS, CODE, SCRIPTS, SYMBOLS, NORMALIZATION, SPACE, SPECIAL, INVALID):
        for name, text in group.items():
            yield name, text if isinstance(text, bytes) else text.encode("utf-8")
