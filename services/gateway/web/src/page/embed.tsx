document.getElementById("root")!.textContent = "Market Pulse";
