"""Wrong values to which an operator may set a variable, by mistake or as an experiment."""

NONSENSE = [
    "", " ", "\t", "\n", "inf", "-inf", "nan", "-1", "0", "-0.0", "1e400", "1e-400", "1e9", "9" * 30, "9" * 5000, "0x10", "1_0", "+1",
    "١٥", "²", "abc", "true", "null", "None", "[]", "{}", '"', "'", '"5"', "5 s", "5;", ",", ",,", " , ", "a,b", "5,5", "1.5",
    "\x01", "\x7f", "a\nb", "5\n", "\u2028", "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"), "\udcff", "ü", "../..",
    "/", "//", "///", "?", "#", "@", ":", "://", "a://b", "http://", "http:///x", "http://h:port", "http://h:99999", "http://h:0", "http://[::1",
    "http://[::1]]", "http://u@h", "http://u:p@h/ x", "https://h/#x", "ws://", "wss://h:-1", "socks5://127.0.0.1:1", "redis://", "*", "%", "%s",
    "%(ENV_X)s", "$HOME", "${X}", "a" * 300, "127.0.0.1", "::1", "[::1]", "0.0.0.0/0", "1.2.3.4/99", "1.2.3", "999.1.1.1", "-", "--help", ".", "..",
]  # fmt: skip
