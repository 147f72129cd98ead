"""A `FunctionStepper` whose tapes may go to the file: a piece of a tape is the state of a step."""


class ShowsTapes:
    """To be mixed into a `FunctionStepper`."""

    def tape_pieces(self, steps):
        return steps

    def release_tape(self, start, stop):
        return self._tapes.pop((start, stop))

    def restore_tape(self, start, stop, pieces):
        self._tapes[start, stop] = list(pieces)
