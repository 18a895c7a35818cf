// The featured symbols, live, with nothing but an EventSource.
const byId = (id) => document.getElementById(id);
const rows = new Map();

function show(ticker) {
  const row = rows.get(ticker.symbol) ?? addRow(ticker.symbol);
  const [, price, percent, quality] = row.cells;
  price.textContent = ticker.price === null ? "–" : ticker.price.toFixed(ticker.dp);
  percent.textContent = ticker.changePercent24h === null ? "–" : `${ticker.changePercent24h.toFixed(2)} %`;
  quality.textContent = ticker.quality;
  row.className = ticker.quality === "stale" || ticker.quality === "down" ? "doubtful" : "";
}

function addRow(symbol) {
  const row = byId("tickers").insertRow();
  for (let cell = 0; cell < 4; cell += 1) row.insertCell();
  row.cells[0].textContent = symbol;
  rows.set(symbol, row);
  return row;
}

const take = {
  connected: ({ simulated }) => { byId("connection").textContent = "connected"; byId("simulated").hidden = !simulated; },
  ticker: show,
  status: ({ simulated }) => { if (simulated) byId("simulated").hidden = false; },
  resync: () => {},
  bye: () => { byId("connection").textContent = "reconnecting"; },
};

const { featured } = await (await fetch("/api/symbols")).json();
featured.forEach(addRow);
const source = new EventSource(`/api/realtime?symbols=${featured.join(",")}`);
source.onmessage = (event) => { const { type, data } = JSON.parse(event.data); take[type]?.(data); };
source.onerror = () => {
  byId("connection").textContent = "reconnecting: the prices below may be old";
  for (const row of rows.values()) row.className = "doubtful";
};
