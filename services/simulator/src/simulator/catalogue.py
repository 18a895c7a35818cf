"""The coins of the simulated exchanges with their usual prices, and the markets that each exchange lists."""

import math
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal, NamedTuple, get_args

ExchangeName = Literal["binance", "bybit", "okx", "coinbase", "kraken", "cryptocom"]
EXCHANGES: Final[tuple[ExchangeName, ...]] = get_args(ExchangeName)
State = Literal["trading", "suspended", "preopen"]

CURRENCIES: Final = MappingProxyType({"USD": 1.0, "USDT": 0.9997, "USDC": 0.9999, "EUR": 1.085})
"""The currencies that coins are priced in, with their usual values in USD."""

_PRICED = """
BTC 64000 ETH 3000 SOL 150 BNB 580 XRP 0.52 DOGE 0.12 ADA 0.38 PEPE 0.00001234 TRX 0.155 AVAX 27.1 LINK 11.4 DOT 4.6
LTC 66.2 BCH 331 NEAR 4.9 UNI 7.1 APT 8.3 SUI 1.62 TON 5.35 ICP 8.4 ETC 18.9 XLM 0.0935 FIL 3.75 HBAR 0.0565 ATOM 4.6
ARB 0.57 OP 1.64 INJ 20.6 IMX 1.47 AAVE 148 MKR 1540 GRT 0.166 RENDER 5.6 FET 1.42 TAO 521 SEI 0.41 STX 1.74 RUNE 4.9
SHIB 0.0000178 WIF 2.21 BONK 0.0000214 FLOKI 0.000135 ORDI 33.4 WLD 1.93 JUP 0.79 PYTH 0.33 TIA 5.6 STRK 0.42 ENA 0.37
ONDO 0.68 PENDLE 4.4 LDO 1.12 CRV 0.29 SNX 1.45 COMP 45.2 YFI 4980 SUSHI 0.66 DYDX 0.98 GMX 23.5 ALGO 0.127 VET 0.0228
EGLD 26.4 XTZ 0.69 EOS 0.47 THETA 1.28 SAND 0.258 MANA 0.279 AXS 4.7 GALA 0.0201 CHZ 0.063 ENJ 0.149 FLOW 0.54 KAVA 0.33
ZEC 31.2 DASH 25.3 XMR 159 NEO 10.1 QTUM 2.3 ZIL 0.0138 IOTA 0.13 KSM 18.1 WAVES 1.02 BAT 0.173 ZRX 0.31 BLUR 0.21
CRO 0.089
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
T TFUEL TKO TLM TNSR TRB TRU TRUMP TURBO TWT UMA UTK VANA VANRY VIC VIDT VIRTUAL VITE VOXEL VTHO W
"""

_ONLY_AT: Final[Mapping[str, tuple[ExchangeName, ...]]] = {
    "BIFI": ("binance",),
    "UTK": ("binance",),
    "HYPE": ("bybit",),
    "MNT": ("bybit",),
    "KAS": ("bybit",),
    "AIDOGE": ("okx",),
    "IOST": ("okx",),
    "AMP": ("coinbase",),
    "XMR": ("bybit", "okx", "kraken"),
    "TRUMP": ("binance", "bybit", "coinbase", "kraken"),
    "CRO": ("cryptocom",),
}


class Quote(NamedTuple):
    """A currency in which an exchange prices coins: its `coins` most traded ones, or all of them if that is None.

    `turnover` is the usual turnover of Bitcoin in this currency in 24 h, in USD.
    """

    currency: str
    turnover: float
    coins: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Venue:
    """The markets of one exchange, the steps of their prices and sizes, and the spelling of their names.

    Attributes:
        exchange: its name.
        separator: the text between base and quote in the exchange's spelling.
        quotes: the currencies in which it prices coins.
        further: its other markets, in our spelling, with the usual turnover of each in 24 h, in USD.
        states: the markets that do not trade.
        bitcoin_decimals: the decimals of Bitcoin's price. Those of other prices follow from the price.
        most_price_decimals: the most decimals of any price.
        size_decimals: the decimals of the size of a coin that costs 1 USD. The dearer the coin, the more decimals.
        most_size_decimals: the most decimals of any size.
    """

    exchange: ExchangeName
    separator: str
    quotes: tuple[Quote, ...]
    further: Mapping[str, float]
    states: Mapping[str, State] = field(default_factory=dict)
    bitcoin_decimals: int
    most_price_decimals: int
    size_decimals: int
    most_size_decimals: int


@dataclass(frozen=True, slots=True)
class Coin:
    """A coin or a currency, and its usual price in USD."""

    name: str
    usual_price: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One market in one exchange's listing. Prices are multiples of 10**-price_decimals, sizes of 10**-size_decimals.

    `symbol` is our spelling, `native` the exchange's. `turnover24h` is the usual turnover in 24 h, in the quote currency.
    """

    exchange: ExchangeName
    base: str
    quote: str
    symbol: str
    native: str
    state: State
    price_decimals: int
    size_decimals: int
    turnover24h: float


def coins() -> dict[str, Coin]:
    """Return every coin by name, the most traded first, then the currencies."""
    words = _PRICED.split()
    known = {name: Coin(name, float(price)) for name, price in zip(words[::2], words[1::2], strict=True)}
    others = {name: Coin(name, _invented_price(name)) for name in _OTHERS.split()}
    return known | others | {name: Coin(name, value) for name, value in CURRENCIES.items()}


def entries(venues: Iterable[Venue]) -> list[Entry]:
    """Return all entries of these exchanges' listings. The result is the same on every call."""
    known = coins()
    return [_entry(venue, symbol, turnover, known) for venue in venues for symbol, turnover in _turnovers(venue, known).items()]


def _turnovers(venue: Venue, known: Iterable[str]) -> dict[str, float]:
    """Return the usual turnover of each of an exchange's markets in 24 h, in USD, by our spelling of the market."""
    traded = [coin for coin in known if coin not in CURRENCIES and venue.exchange in _ONLY_AT.get(coin, EXCHANGES)]
    priced = {
        f"{coin}-{currency}": turnover / rank**1.1
        for currency, turnover, most in venue.quotes
        for rank, coin in enumerate(traded[:most], start=1)
    }
    return priced | dict(venue.further)


def _entry(venue: Venue, symbol: str, turnover: float, known: Mapping[str, Coin]) -> Entry:
    base, _, quote = symbol.partition("-")
    base_price, quote_price = known[base].usual_price, known[quote].usual_price
    return Entry(
        exchange=venue.exchange,
        base=base,
        quote=quote,
        symbol=symbol,
        native=f"{base}{venue.separator}{quote}",
        state=venue.states.get(symbol, "trading"),
        price_decimals=_price_decimals(venue, base, base_price / quote_price),
        size_decimals=min(max(math.floor(math.log10(base_price)) + venue.size_decimals, 0), venue.most_size_decimals),
        turnover24h=turnover / quote_price,
    )


def _invented_price(name: str) -> float:
    """Return a price between 0.005 and 30 USD that depends only on the name."""
    share = zlib.crc32(name.encode()) / 2**32
    return float(f"{0.005 * 6000**share:.4g}")


def _price_decimals(venue: Venue, base: str, price: float) -> int:
    if base == "BTC":
        return venue.bitcoin_decimals
    return min(max(4 - math.floor(math.log10(price)), 2), venue.most_price_decimals)
