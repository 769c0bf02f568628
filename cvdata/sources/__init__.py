"""Where images come from: one file a format, and the SOURCES dict."""
