// Before the first paint: the theme and the colour scheme that the address asks for, or that were chosen here the last time.
(() => {
  const query = new URLSearchParams(location.search);
  const { dataset } = document.documentElement;
  const chosen = (name) => {
    try {
      return query.get(name) ?? localStorage.getItem(`market-pulse.${name}`);
    } catch {
      return null; // storage is closed to us: a frame on another site, a setting
    }
  };
  const theme = chosen("theme");
  const scheme = chosen("scheme");
  if (theme === "light" || theme === "dark") dataset.theme = theme;
  dataset.scheme = scheme === "east-asian" || scheme === "cvd" ? scheme : "western";
  if (query.get("background") === "transparent") dataset.background = "transparent";
})();
