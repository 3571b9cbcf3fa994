"""The folder that `falaj new` copies: a whole project, working on a sample that it makes.

`write` fills in the words between at signs; files that end in `.tmpl` lose that ending, so that
nothing here is mistaken for code of ours.
"""
