"""One suite, every destination: what each kind must do when its far side is well, and when it is not.

`end` says what a far side has to offer, `ends` lists one for every kind, `test_contract_destinations` is the suite. A
new kind adds a file with its end and a line to `ends`.
"""
