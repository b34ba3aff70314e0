import unittest

from hello.words import greeting, visitors


class Words(unittest.TestCase):
    def test_greeting(self):
        self.assertEqual(greeting(7), "hello from targets, uid 7\n")

    def test_visitors(self):
        self.assertEqual(visitors(1234567), "1,234,567 visitors so far")


if __name__ == "__main__":
    unittest.main()
