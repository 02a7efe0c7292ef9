"""The verdict's word in letters three rows high, drawn from dots with half blocks."""

from __future__ import annotations

_DOTS = {
    "A": ".##. #..# #### #..# #..#",
    "B": "###. #..# ###. #..# ###.",
    "C": ".### #... #... #... .###",
    "D": "###. #..# #..# #..# ###.",
    "E": "#### #... ###. #... ####",
    "F": "#### #... ###. #... #...",
    "G": ".### #... #.## #..# .###",
    "H": "#..# #..# #### #..# #..#",
    "I": "# # # # #",
    "K": "#..# #.#. ##.. #.#. #..#",
    "L": "#... #... #... #... ####",
    "N": "#...# ##..# #.#.# #..## #...#",
    "O": ".##. #..# #..# #..# .##.",
    "P": "###. #..# ###. #... #...",
    "R": "###. #..# ###. #.#. #..#",
    "S": ".### #... .##. ...# ###.",
    "T": "##### ..#.. ..#.. ..#.. ..#..",
    "U": "#..# #..# #..# #..# .##.",
    "W": "#...# #...# #.#.# ##.## #...#",
    "Z": "#### ...# .##. #... ####",
    " ": ".. .. .. .. ..",
}
_HALVES = {"..": " ", "#.": "▀", ".#": "▄", "##": "█"}


def big(word: str) -> list[str] | None:
    """Three lines of equal width; None for a letter that has no picture."""
    if any(letter not in _DOTS for letter in word):
        return None
    pictures = [_DOTS[letter].split() for letter in word]
    rows = [".".join(picture[y] for picture in pictures) for y in range(5)]
    rows.append("." * len(rows[0]))
    return [
        "".join(_HALVES[a + b] for a, b in zip(rows[y], rows[y + 1], strict=True))
        for y in (0, 2, 4)
    ]
