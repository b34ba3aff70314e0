"""The files that are built from. Half of every file is random, the other half text of random words: sizes after
compression are neither those of photographs nor those of zeros. Seeds are fixed, so that every run has the same files."""

import hashlib
import random
from pathlib import Path

BLOCK = 64 * 1024
WORDS = 16 << 20  # bytes of text before it repeats: more than a compressor looks back


def text(seed=7):
    chance = random.Random(seed)
    words = ["".join(chance.choices("etaoinshrdlucmfw", k=chance.randint(2, 9))) for _ in range(4000)]
    return " ".join(chance.choices(words, k=WORDS // 6)).encode()


def half_random(path, size, seed, words):
    """Writes a file of `size` bytes: blocks of random bytes and blocks of text in turn."""
    chance = random.Random(seed)
    with open(path, "wb") as file:
        for offset in range(0, size, 2 * BLOCK):
            left = min(2 * BLOCK, size - offset)
            where = chance.randrange(len(words) - BLOCK)
            file.write(chance.randbytes(left // 2) + words[where:where + left - left // 2])


def small_files(folder, count, size):
    """Writes `count` files of `size` bytes, 50 to a folder, 20 folders to a folder."""
    words = text()
    for number in range(count):
        place = folder / f"part{number // 1000}" / f"d{number // 50 % 20}"
        place.mkdir(parents=True, exist_ok=True)
        half_random(place / f"f{number}", size, number, words)


def large_files(folder, count, size):
    words = text()
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        half_random(folder / f"large{number}", size, number, words)


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write(path, content):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
