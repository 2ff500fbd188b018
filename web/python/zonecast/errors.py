"""What the server refuses."""

from __future__ import annotations


class ZonecastError(Exception):
    """The server's refusal of a request, or the end that it gave to a stream; one that a token
    function raises has a code and a detail alone.

    status: of HTTP; 0 when a stream was ended.
    close: the close code; 0 when a stream never began.
    code: for programs, like "forbidden"; empty when the server did not say.
    detail: for people: what has to change.
    retry_after: seconds that the server asks to wait; 0 when it does not say.
    """

    def __init__(self, *, status: int = 0, close: int = 0, code: str = "", detail: str = "", retry_after: float = 0):
        what = f"the server answered {status}" if status else f"the server ended the stream with {close}" if close else "refused"
        super().__init__(what + (f" ({code})" if code else "") + (f": {detail}" if detail else ""))
        self.status, self.close, self.code, self.detail, self.retry_after = status, close, code, detail, retry_after
