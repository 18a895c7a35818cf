"""The coins of the simulated exchanges with their usual prices, and the markets that each exchange lists."""

import math
import zlib
from dataclasses import dataclass
from typing import Final, Literal

ExchangeName = Literal["binance", "bybit", "okx"]
EXCHANGES: Final[tuple[ExchangeName, ...]] = ("binance", "bybit", "okx")
State = Literal["trading", "suspended", "preopen"]

_PRICED = """
BTC 64000 ETH 3000 SOL 150 BNB 580 XRP 0.52 DOGE 0.12 ADA 0.38 PEPE 0.00001234 TRX 0.155 AVAX 27.1 LINK 11.4 DOT 4.6
LTC 66.2 BCH 331 NEAR 4.9 UNI 7.1 APT 8.3 SUI 1.62 TON 5.35 ICP 8.4 ETC 18.9 XLM 0.0935 FIL 3.75 HBAR 0.0565 ATOM 4.6
ARB 0.57 OP 1.64 INJ 20.6 IMX 1.47 AAVE 148 MKR 1540 GRT 0.166 RENDER 5.6 FET 1.42 TAO 521 SEI 0.41 STX 1.74 RUNE 4.9
SHIB 0.0000178 WIF 2.21 BONK 0.0000214 FLOKI 0.000135 ORDI 33.4 WLD 1.93 JUP 0.79 PYTH 0.33 TIA 5.6 STRK 0.42 ENA 0.37
ONDO 0.68 PENDLE 4.4 LDO 1.12 CRV 0.29 SNX 1.45 COMP 45.2 YFI 4980 SUSHI 0.66 DYDX 0.98 GMX 23.5 ALGO 0.127 VET 0.0228
EGLD 26.4 XTZ 0.69 EOS 0.47 THETA 1.28 SAND 0.258 MANA 0.279 AXS 4.7 GALA 0.0201 CHZ 0.063 ENJ 0.149 FLOW 0.54 KAVA 0.33
ZEC 31.2 DASH 25.3 XMR 159 NEO 10.1 QTUM 2.3 ZIL 0.0138 IOTA 0.13 KSM 18.1 WAVES 1.02 BAT 0.173 ZRX 0.31 BLUR 0.21
EUR 1.085 USDC 1.0
"""
_OTHERS = """
1INCH A8 ACA ACE ACH ACS ACX AERGO AERO AEVO AGI AGLD AGLA AIDOGE AIOZ AKT ALCX ALICE ALPHA ALPINE ALT AMB AMP ANKR
APE API3 APTR AR ARDR ARK ARKM ARPA ASR AST ASTR ATA ATH ATM AUCTION AUDIO AVA AXL BAKE BAL BAND BANANA BAR BB BEAM
BEL BETA BICO BIFI BIGTIME BLAST BLZ BNT BOME BRETT BSW BTTC BURGER C98 CAKE CATI CELO CELR CETUS CFX CHESS CHR CITY
CKB CLV COMBO COOKIE CORE COS COTI COW CTC CTK CTSI CTXC CVC CVX CYBER DAR DATA DCR DEGO DENT DEXE DF DGB DIA DODO
DOGS DUSK DYM EDU EIGEN ELF ENS EPIC ERN ETHFI ETHW FARM FIDA FIO FIRO FIS FLM FLUX FORTH FTT FUN FXS GAL GAS GFT GHST
GLM GLMR GMT GNO GNS GODS GOAT GTC GUN HARD HFT HIFI HIGH HIVE HMSTR HNT HOOK HOT HYPE ICX ID IDEX ILV IO IOST IOTX IQ
IRIS JASMY JOE JST JTO KAIA KAITO KAS KDA KEY KLAY KMD KMNO KNC LAYER LEVER LINA LISTA LIT LOKA LOOM LPT LQTY LRC LSK
LTO LUNA LUNC MAGIC MANTA MANTRA MASK MAV MBL MBOX MDT ME MEME METIS MEW MINA MNT MOCA MOG MOVE MOVR MTL MYRO NEIRO
NEON NFP NKN NMR NOT NTRN NULS OAX OGN OM OMNI ONE ONG ONT ORCA OSMO OXT PAXG PENGU PEOPLE PERP PHA PHB PIXEL PNUT POL
POLYX POND POPCAT PORTAL POWR PROM PROS PUNDIX PYR QI QKC QNT QUICK RAD RARE RAY RDNT REEF REI REQ REZ RIF RLC RONIN
ROSE RPL RSR RVN SAFE SAGA SC SCR SCRT SFP SKL SLP SNT SPELL SSV STEEM STG STMX STORJ STPT STRAX SUN SUPER SXP SYN SYS
T TFUEL TKO TLM TNSR TRB TRU TRUMP TURBO TUSD TWT UMA UTK VANA VANRY VIC VIDT VIRTUAL VITE VOXEL VTHO W
"""
_CROSSES = (
    *(("ETH", "BTC"), ("SOL", "BTC"), ("BNB", "BTC"), ("XRP", "BTC"), ("LTC", "BTC"), ("LINK", "BTC")),
    *(("SOL", "ETH"), ("BTC", "USDC"), ("ETH", "USDC"), ("SOL", "USDC"), ("XRP", "USDC"), ("DOGE", "USDC")),
    *(("BTC", "EUR"), ("ETH", "EUR")),
)
_LISTED_ONLY_ON: Final[dict[str, tuple[ExchangeName, ...]]] = {
    "BIFI-USDT": ("binance",),
    "UTK-USDT": ("binance",),
    "BNB-BTC": ("binance",),
    "HYPE-USDT": ("bybit",),
    "MNT-USDT": ("bybit",),
    "KAS-USDT": ("bybit",),
    "AIDOGE-USDT": ("okx",),
    "IOST-USDT": ("okx",),
    "XMR-USDT": ("bybit", "okx"),
    "TRUMP-USDT": ("binance", "bybit"),
    "SOL-ETH": ("binance", "okx"),
}
_STATES: Final[dict[tuple[ExchangeName, str], State]] = {
    ("binance", "FTT-USDT"): "suspended",
    ("binance", "WAVES-USDT"): "suspended",
    ("binance", "VITE-USDT"): "preopen",
    ("okx", "LUNC-USDT"): "suspended",
    ("okx", "VANA-USDT"): "preopen",
}
_SEPARATOR: Final[dict[ExchangeName, str]] = {"binance": "", "bybit": "", "okx": "-"}
_BIGGEST_TURNOVER: Final[dict[ExchangeName, float]] = {"binance": 1.8e9, "bybit": 6e8, "okx": 4e8}
_FEWEST_SIZE_DECIMALS: Final[dict[ExchangeName, int]] = {"binance": 1, "bybit": 2, "okx": 4}
_MOST_SIZE_DECIMALS: Final[dict[ExchangeName, int]] = {"binance": 5, "bybit": 6, "okx": 8}
_MOST_PRICE_DECIMALS: Final[dict[ExchangeName, int]] = {"binance": 8, "bybit": 10, "okx": 10}


@dataclass(frozen=True, slots=True)
class Coin:
    """A coin and its usual price in USDT."""

    name: str
    usual_price: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One market in one exchange's listing. Prices are multiples of 10**-price_decimals, sizes of 10**-size_decimals."""

    exchange: ExchangeName
    base: str
    quote: str
    state: State
    price_decimals: int
    size_decimals: int
    turnover24h: float

    @property
    def symbol(self) -> str:
        """The market in our spelling, BASE-QUOTE."""
        return f"{self.base}-{self.quote}"

    @property
    def native(self) -> str:
        """The market in the exchange's spelling."""
        return f"{self.base}{_SEPARATOR[self.exchange]}{self.quote}"


def coins() -> dict[str, Coin]:
    """Return every coin by name, the most traded first. USDT, in which prices are given, is the last."""
    words = _PRICED.split()
    known = {name: Coin(name, float(price)) for name, price in zip(words[::2], words[1::2], strict=True)}
    others = {name: Coin(name, _invented_price(name)) for name in _OTHERS.split()}
    return known | others | {"USDT": Coin("USDT", 1.0)}


def entries() -> list[Entry]:
    """Return all entries of all exchanges' listings. The result is the same on every call."""
    known = coins()
    pairs = [(name, "USDT") for name in known if name != "USDT"] + list(_CROSSES)
    rank = {name: number for number, name in enumerate(known, start=1)}
    listed: list[Entry] = []
    for base, quote in pairs:
        symbol = f"{base}-{quote}"
        price = known[base].usual_price / known[quote].usual_price
        share = 1.0 if quote == "USDT" else 0.04
        listed.extend(
            Entry(
                exchange=exchange,
                base=base,
                quote=quote,
                state=_STATES.get((exchange, symbol), "trading"),
                price_decimals=_price_decimals(exchange, symbol, price),
                size_decimals=_size_decimals(exchange, known[base].usual_price),
                turnover24h=share * _BIGGEST_TURNOVER[exchange] / rank[base] ** 1.1 / known[quote].usual_price,
            )
            for exchange in _LISTED_ONLY_ON.get(symbol, EXCHANGES)
        )
    return listed


def _invented_price(name: str) -> float:
    """Return a price between 0.005 and 30 USDT that depends only on the name."""
    share = zlib.crc32(name.encode()) / 2**32
    return float(f"{0.005 * 6000**share:.4g}")


def _price_decimals(exchange: ExchangeName, symbol: str, price: float) -> int:
    if symbol.startswith("BTC-"):
        return 2 if exchange == "binance" else 1
    return min(max(4 - math.floor(math.log10(price)), 2), _MOST_PRICE_DECIMALS[exchange])


def _size_decimals(exchange: ExchangeName, price_usdt: float) -> int:
    wanted = math.floor(math.log10(price_usdt)) + _FEWEST_SIZE_DECIMALS[exchange]
    return min(max(wanted, 0), _MOST_SIZE_DECIMALS[exchange])
