"""What a worker has done, added up for its reports; monitoring has the metrics.

It counts what it is told, from any thread, and decides nothing.
"""

import threading

from service.domain.capacity import Activity


class Tally:
    """Counts of one worker; belongs to all of its threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._num_steps = self._num_row_steps = self._num_pictures = 0
        self._rows_per_step = 0.0

    def count_steps(self, num_rows: int, num_steps: int) -> None:
        """So many rows have shared so many denoising steps."""
        with self._lock:
            self._num_steps += num_steps
            self._num_row_steps += num_rows * num_steps

    def count_pictures(self, num_pictures: int) -> None:
        """So many have been delivered."""
        with self._lock:
            self._num_pictures += num_pictures

    def report(self, in_flight: int) -> Activity:
        """What has been done since the report before this one.

        Args:
            in_flight: pictures that hold a slot now. A whole loop may be longer than the time between two reports, so
                while there are any the rows of the last steps stand for those that have not ended.
        """
        with self._lock:
            if self._num_steps:
                self._rows_per_step = self._num_row_steps / self._num_steps
            elif not in_flight:
                self._rows_per_step = 0.0
            self._num_steps = self._num_row_steps = 0
            return Activity(in_flight, round(self._rows_per_step, 3), self._num_pictures)
