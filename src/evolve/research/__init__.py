"""From a paper or a repository to a program that can be tested: search, reading, and the library of strategies."""
