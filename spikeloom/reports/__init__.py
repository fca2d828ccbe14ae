"""Pages of HTML that need nothing but themselves: of a verified design (``verified``), of any network (``network``).

Both extend ``page.html``, which has their head and ``page.css``; what both show is in ``parts.html``.
"""
