// Before the first paint: the theme and the colour scheme that were chosen here the last time.
try {
  const { theme, scheme } = {
    theme: localStorage.getItem("market-pulse.theme"),
    scheme: localStorage.getItem("market-pulse.scheme"),
  };
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  document.documentElement.dataset.scheme = scheme === "east-asian" || scheme === "cvd" ? scheme : "western";
} catch {
  document.documentElement.dataset.scheme = "western"; // storage is closed to us: a frame on another site, a setting
}
