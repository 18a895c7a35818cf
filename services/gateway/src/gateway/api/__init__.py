"""The HTTP application: the API, the page's files, and the layers around them."""
