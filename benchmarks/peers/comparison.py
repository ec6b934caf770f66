"""The run: services are started, asked and stopped one after the other, ours first; what fails is said and left behind.

What is asked is `benchmarks.peers.scenarios`.
"""

import asyncio
import io
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
from PIL import Image

from benchmarks.figures import BrokenRunError
from benchmarks.peers import scenarios
from benchmarks.peers.findings import OURS, Finding, finding_of_rounds, is_better
from benchmarks.peers.scenarios import Effort, Reference, Running, Values
from benchmarks.turns import Report
from loadtests.peers.callers import calling
from loadtests.peers.environments import EnvironmentMissingError
from loadtests.peers.pipeline import SimulatedDevice
from loadtests.peers.services import Device, Service, free_port
from loadtests.peers.traffic import job

_START_SECONDS = 90.0
_SCENARIO_SECONDS = 600.0
_LOOK_SECONDS = 0.2
_AWAKE_SECONDS = 0.5
# Of 255: other versions of libraries round elsewhere.
_MAX_DIFFERENCE = 2
_IN_TURNS = {"lone": scenarios.lone, "saturated": scenarios.saturated, "persons": scenarios.persons}
"""Scenarios for which all services are up at one time."""
_ONE_BY_ONE = ("mixed", "cancels", "kill")
"""In the order in which a service is asked; it may not be itself again after the last one."""
_SIMULATED = {"simulated": SimulatedDevice(0.010, 0.0005), "edge": SimulatedDevice(0.0, 0.0)}
"""Scenarios on devices that are not there."""


class NotReadyError(Exception):
    """A service did not start, or makes another picture than ours; one line says what."""


@dataclass(frozen=True)
class Choice:
    """What is to be run.

    Attributes:
        services: ours comes first, as the others are measured by it.
        scenarios: keys of `benchmarks.peers.findings.SCENARIOS`.
        effort: how much.
        max_batch: of the peers, on this computer's cores.
        simulated_batch: likewise on simulated devices.
    """

    services: Sequence[Service]
    scenarios: Sequence[str]
    effort: Effort
    max_batch: int
    simulated_batch: int = 16


class Comparison:
    """One run; `found` grows."""

    def __init__(self, choice: Choice, report: Report, keep: Callable[[Sequence[Finding]], object]) -> None:
        """Nothing is started.

        Args:
            choice: what is to be run.
            report: told a line whenever there is something to see.
            keep: told all findings after each new one, so that nothing is lost with the run.
        """
        self._choice, self._report, self._keep = choice, report, keep
        self._references: dict[SimulatedDevice | None, Reference] = {}
        self._picture: np.ndarray | None = None
        self._missing: dict[str, str] = {}
        self.found: list[Finding] = []

    async def run(self) -> None:
        """All of it.

        Raises:
            BrokenRunError: our own service could not be measured, so that there is nothing to compare with.
        """
        for service in self._services():
            try:
                service.prepare(self._report)
            except EnvironmentMissingError as error:
                self._leave(service.name, str(error))
        if in_turns := [name for name in _IN_TURNS if name in self._choice.scenarios]:
            await self._in_turns(in_turns)
        wanted = [name for name in _ONE_BY_ONE if name in self._choice.scenarios]
        for service in self._services():
            if wanted:
                await self._visit(service, Device(self._choice.max_batch), wanted)
            if "mixed" in wanted and service.name != OURS and self._choice.max_batch > 1:
                # What brings most pictures need not bring most of them in time: the better of the two counts.
                await self._visit(service, Device(1), ["mixed"])
            for name, simulated in _SIMULATED.items():
                if name in self._choice.scenarios:
                    await self._visit(service, Device(self._choice.simulated_batch, simulated), [name])

    def _services(self) -> list[Service]:
        return [service for service in self._choice.services if service.name not in self._missing]

    def _leave(self, name: str, reason: str) -> None:
        """Go on without a service."""
        self._report(f"{name}: {reason}")
        if name == OURS:
            raise BrokenRunError(f"our own service: {reason}")
        self._missing[name] = reason
        for scenario in self._choice.scenarios:
            if not any(each.service == name and each.scenario == scenario for each in self.found):
                self.note(Finding(scenario, name, remark=reason))

    def note(self, finding: Finding) -> None:
        """Note what was found; of two that a service was found to be in one scenario, the better one stays."""
        same = [each for each in self.found if (each.scenario, each.service) == (finding.scenario, finding.service)]
        shown = [f"{key} {np.median(values):.4g}" for key, values in finding.values.items() if values]
        self._report(f"{finding.service}, {finding.scenario}: {', '.join(filter(None, [*shown, finding.remark]))}")
        for former in same:
            if is_better(finding, former):
                self.found[self.found.index(former)] = finding
        if not same:
            self.found.append(finding)
        self._keep(self.found)

    async def _in_turns(self, wanted: Sequence[str]) -> None:
        """All services are up, and stopped but for the one whose turn it is: some are busy while they wait."""
        async with AsyncExitStack() as stack:
            up: dict[str, Running] = {}
            for service in self._services():
                try:
                    started = self._started(service, Device(self._choice.max_batch))
                    up[service.name] = await stack.enter_async_context(started)
                except NotReadyError as error:
                    self._leave(service.name, str(error))
            idle = {name: await scenarios.settle(running) for name, running in up.items()}
            for running in up.values():
                running.process.pause()
            for key in wanted:
                await self._rounds(key, up, idle)
            for running in up.values():
                running.process.resume()

    async def _rounds(self, key: str, up: Mapping[str, Running], idle: Mapping[str, float]) -> None:
        """One scenario, each service in its turn, in reverse order every other round; the first round warms up."""
        effort = self._choice.effort
        num_rounds = effort.lone_rounds if key == "lone" else effort.closed_rounds
        by_round: dict[str, dict[int, Values]] = {name: {} for name in up}
        for number in range(num_rounds + 1):
            for name in reversed(list(up)) if number % 2 else up:
                try:
                    values = await self._turn(up[name], key, number)
                except* Exception as group:
                    self._report(f"{name}, {key}, round {number}: {_first(group)!r}")
                else:
                    if number:
                        by_round[name][number] = values
            self._report(f"{key}, round {number} of {num_rounds}")
        for name in by_round:
            self.note(finding_of_rounds(key, name, by_round, idle[name], num_rounds))

    async def _turn(self, running: Running, key: str, number: int) -> Values:
        running.process.resume()
        try:
            # What it does because its clocks were ahead.
            await asyncio.sleep(_AWAKE_SECONDS)
            async with asyncio.timeout(_SCENARIO_SECONDS):
                return await _IN_TURNS[key](running, self._choice.effort, number)
        finally:
            running.process.pause()

    async def _visit(self, service: Service, device: Device, wanted: Sequence[str]) -> None:
        """One service through some scenarios."""
        try:
            async with self._started(service, device) as running:
                await self._note_reference(running, device, wanted)
                for name in wanted:
                    await self._one(running, name, device)
        except NotReadyError as error:
            for name in wanted:
                self.note(Finding(name, service.name, remark=str(error)))
            if service.name == OURS:
                raise BrokenRunError(f"our own service: {error}") from None

    async def _note_reference(self, running: Running, device: Device, wanted: Sequence[str]) -> None:
        if running.service.name == OURS and {"mixed", "simulated"} & set(wanted):
            effort = self._choice.effort
            # A device that takes 16 rows needs more jobs to be full, and to be so for a while.
            more = 8 if device.simulated else 1
            num_callers = min(2 * 16, effort.capacity_jobs * more) if device.simulated else 16
            known = await scenarios.reference(running, effort, num_callers, effort.capacity_jobs * more)
            self._references[device.simulated] = known
            self._report(f"ours can do {known.capacity:.3g} mixed jobs a second")

    async def _one(self, running: Running, name: str, device: Device) -> None:
        try:
            await scenarios.settle(running)
            async with asyncio.timeout(_SCENARIO_SECONDS):
                values = await self._values(running, name, device)
        except* Exception as group:
            # Whatever it is, the others are still to be measured.
            reason = _first(group)
            self.note(Finding(name, running.service.name, remark=f"{type(reason).__name__}: {reason}"))
        else:
            one_by_one = "one by one, its best" if device.max_batch < self._choice.max_batch else ""
            self.note(Finding(name, running.service.name, values, remark=one_by_one))

    async def _values(self, running: Running, name: str, device: Device) -> Values:
        effort = self._choice.effort
        match name:
            case "cancels":
                return await scenarios.cancels(running, effort)
            case "kill":
                return await scenarios.kill(running, effort)
            case "edge":
                return await scenarios.edge(running, effort)
        seconds = effort.simulated_seconds if device.simulated else effort.mixed_seconds
        return await scenarios.in_the_open(running, self._references[device.simulated], effort, seconds)

    @asynccontextmanager
    async def _started(self, service: Service, device: Device) -> AsyncIterator[Running]:
        """A service that has made a picture, the same as ours."""
        folder = Path(tempfile.mkdtemp(prefix="xmdpt-peers-"))
        process = None
        try:
            async with AsyncExitStack() as stack:
                for is_last in (False, True):
                    self._report(f"{service.name} starts{', simulated' if device.simulated else ''}")
                    port = free_port()
                    try:
                        process = service.start(device, port, folder)
                    except (OSError, ValueError) as error:
                        raise NotReadyError(f"could not be started: {error}") from None
                    callers = await stack.enter_async_context(calling(service, port))
                    running = Running(service, process, callers)
                    try:
                        await self._wait_until_ready(running, folder / "log")
                        break
                    except NotReadyError:
                        # Somebody else may have taken the port meanwhile.
                        process.stop()
                        if is_last:
                            raise
                await self._compare_picture(running, device)
                await scenarios.warm_up(running, self._choice.effort)
                yield running
        finally:
            if process:
                # Not in a thread: whoever interrupts the run waits for this.
                process.stop()
            shutil.rmtree(folder, ignore_errors=True)

    async def _wait_until_ready(self, running: Running, log: Path) -> None:
        give_up_at = time.monotonic() + _START_SECONDS
        while (await running.callers.call(job(0, 2), patience=_START_SECONDS)).outcome != "succeeded":
            if running.process.has_ended or time.monotonic() > give_up_at:
                raise NotReadyError(f"did not start: {_end_of(log)}")
            await asyncio.sleep(_LOOK_SECONDS)

    async def _compare_picture(self, running: Running, device: Device) -> None:
        """The same job must make the same picture; a simulated device's means nothing."""
        if device.simulated:
            return
        try:
            file = await running.callers.picture(job(1, 10))
        except httpx.HTTPError as error:
            raise NotReadyError(f"makes no picture: {error!r}") from None
        with Image.open(io.BytesIO(file)) as image:
            picture = np.asarray(image.convert("RGB")).astype(int)
        if self._picture is None:
            self._picture = picture
        difference = int(np.abs(picture - self._picture).max())
        if difference > _MAX_DIFFERENCE:
            raise NotReadyError(f"makes another picture than ours: it differs by up to {difference} of 255")


def _end_of(log: Path) -> str:
    return " ".join(log.read_bytes().decode(errors="replace").split())[-300:]


def _first(group: BaseExceptionGroup) -> BaseException:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
