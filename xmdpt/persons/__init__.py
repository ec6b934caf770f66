"""Rendered persons: pictures of the same clothed person in several poses, with exact key points and materials.

Needs numpy and, for speed, a C compiler; knows neither torch nor training. `render.render_pair` is the entry.
"""
