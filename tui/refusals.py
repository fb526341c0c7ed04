"""Why an action cannot be done now, in words for the person who pressed its key; None when it can."""

from __future__ import annotations

from tui.view import View


def never(_: View) -> str | None:
    return None


def next_action(view: View) -> str | None:
    if view.next is None:
        return "no campaign is open" if view.current is None else "its file cannot be used: what is wrong stands on top"
    if view.next.argv is None and view.next.kind != "review":
        return f"nothing to start now: {view.next.reason}"
    return _not_busy(view)


def _not_busy(view: View) -> str | None:
    return f"wait until this is done: {view.busy}" if view.busy else None


def own_launch(view: View) -> str | None:
    if view.current is None:
        return "no campaign is open"
    if view.current.campaign is None:
        return "its file cannot be used: what is wrong stands on top"
    return _not_busy(view)


def no_run(view: View) -> str | None:
    return None if view.selected else "there is no run yet"


def stop(view: View) -> str | None:
    run = view.selected
    if run is None:
        return "there is no run yet"
    if not run.live and not run.gpu_held:
        return f"{run.name} is not going: {run.state}"
    return _not_busy(view)


def restart(view: View) -> str | None:
    run = view.selected
    if run is None:
        return "there is no run yet"
    if run.live and not run.awaits_restart:
        return f"{run.name} is going: stop it first"
    if run.imported:
        return f"{run.name} was imported: there is nothing to restart"
    return _not_busy(view)


def resume(view: View) -> str | None:
    run = view.selected
    if run is not None and run.state == "succeeded":
        return f"{run.name} is finished: extend it (x), or begin it anew (R)"
    return restart(view)


def extend(view: View) -> str | None:
    run = view.selected
    if run is None:
        return "there is no run yet"
    if run.live and not run.awaits_restart:
        return f"{run.name} is going: wait for its end"
    if run.imported:
        return f"{run.name} was imported: there is nothing to extend"
    return _not_busy(view)


def idle(view: View) -> str | None:
    if view.current is None:
        return "no campaign is open"
    if view.idle is None:
        return "nothing counts down"
    match view.idle.state:
        case "counting":
            return None
        case "cancelled":
            return f"nothing counts down any more: {view.idle.author} cancelled it"
        case "running":
            return "too late: the command is being run"
        case _:
            return "too late: the command was run"


def engine(view: View) -> str | None:
    """An engine that there is can always be looked at and stopped, whatever became of the campaign's file."""
    current = view.current
    if current is None:
        return "no campaign is open"
    config = current.campaign
    if current.engine is None or not (current.engine.live or current.engine.gpu_held):
        if config is None:
            return "its file cannot be used: what is wrong stands on top"
        if config.generator.kind != "builtin":
            return f"{current.name} has no engine: its generator is a program of its own"
        if config.model.backend != "vllm":
            return f"{current.name} has no engine: its backend is {config.model.backend}, not vllm"
    return _not_busy(view)


def runs(view: View) -> str | None:
    return None if len(view.runs) > 1 else "there is only one run" if view.runs else "there is no run yet"


def campaigns(view: View) -> str | None:
    number = len(view.snapshot.campaigns) if view.snapshot else 0
    return None if number > 1 else "there is only one campaign here" if number else "there is no campaign here"


def copy(view: View) -> str | None:
    return None if view.current else "no campaign is open"
