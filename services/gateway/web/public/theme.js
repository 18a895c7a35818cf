// Runs before the first paint. Sets the theme and colour scheme that the URL names, or that the visitor chose last time.
(() => {
  const query = new URLSearchParams(location.search);
  const { dataset } = document.documentElement;
  const chosen = (name) => {
    try {
      return query.get(name) ?? localStorage.getItem(`market-pulse.${name}`);
    } catch {
      return null; // the browser forbids storage: in a frame on another site, or by a setting
    }
  };
  const theme = chosen("theme");
  const scheme = chosen("scheme");
  if (theme === "light" || theme === "dark") dataset.theme = theme;
  dataset.scheme = scheme === "east-asian" || scheme === "cvd" ? scheme : "western";
  if (query.get("background") === "transparent") dataset.background = "transparent";
})();
