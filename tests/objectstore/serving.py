"""An HTTP server in a thread of this process."""

import threading
from http.server import HTTPServer


class Serving:
    """Serves until `stop`; `url` is its endpoint."""

    def __init__(self, server: HTTPServer) -> None:
        self._server = server
        self.url = f"http://127.0.0.1:{server.server_port}"
        self._thread = threading.Thread(target=server.serve_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """No request is served afterwards, and the port is free."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
