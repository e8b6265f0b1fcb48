"""The page that shows what is published: as a static site, or served from here.

- `page`: the files of the page itself, and of the library that draws
- `site`: a folder or bucket with the page and a copy of what is published
- `serving`: the page and what is published, by a small server on this machine
"""
