"""A kept engine and live figures as plain text."""

from __future__ import annotations

from datetime import UTC, datetime

from engine.figures import EngineFigures, GpuFigures
from engine.report.formatting import STATE_SIGNS, duration, money
from engine.snapshot import EngineSnapshot


def engine_state(engine: EngineSnapshot) -> str:
    """`◌ starting, weights 40%`, `● ready, idle`, `■ stopped`: state as a sign and words."""
    if not engine.live:
        return f"{STATE_SIGNS[engine.state]} {engine.state}"
    if engine.state != "running":
        return f"{STATE_SIGNS[engine.state]} {engine.state}" + (f", {engine.loading}" if engine.loading else "")
    use = f"used by {', '.join(engine.attached)}" if engine.attached else "in use" if engine.in_use else "idle"
    return f"{STATE_SIGNS[engine.state]} ready, {use}"


def figures_text(figures: EngineFigures) -> str:
    """`6,698 tok/s out, 12,004 in · 256 running, 0 waiting · KV cache 41 % · prefix hits 84 %`; what is known of it."""
    parts = []
    if figures.generation_tokens_per_s is not None:
        prompt = figures.prompt_tokens_per_s
        parts.append(
            f"{figures.generation_tokens_per_s:,.0f} tok/s out" + (f", {prompt:,.0f} in" if prompt is not None else "")
        )
    if figures.running is not None:
        waiting = f", {figures.waiting} waiting" if figures.waiting is not None else ""
        parts.append(f"{figures.running} running{waiting}")
    if figures.kv_cache_usage is not None:
        parts.append(f"KV cache {figures.kv_cache_usage * 100:.0f} %")
    if figures.prefix_cache_hit_rate is not None:
        parts.append(f"prefix hits {figures.prefix_cache_hit_rate * 100:.0f} %")
    return " · ".join(parts)


def gpu_text(gpu: GpuFigures) -> str:
    """`GPU 0 NVIDIA H200: 93 %, 61.2 of 140.4 GiB, 512 W`."""
    parts = [f"{gpu.utilisation:.0f} %"] if gpu.utilisation is not None else []
    parts.append(f"{gpu.used_bytes / 2**30:.1f} of {gpu.total_bytes / 2**30:.1f} GiB")
    if gpu.power_w is not None:
        parts.append(f"{gpu.power_w:.0f} W")
    return f"GPU {gpu.index} {gpu.name}".rstrip() + f": {', '.join(parts)}"


def stop_text(engine: EngineSnapshot, now: datetime | None = None) -> str:
    """`stops in 28:12 unless it is used`; empty while it is used, or is not up."""
    if not engine.live or engine.stops_at is None:
        return ""
    left = (datetime.fromisoformat(engine.stops_at) - (now or datetime.now(UTC))).total_seconds()
    return f"stops in {duration(max(0.0, left))} unless it is used"


def engine_text(engine: EngineSnapshot) -> str:
    """All of it, a few lines."""
    lines = [f"{engine.id}: {engine_state(engine)} · {engine.model}"]
    if engine.reason and not engine.live:
        lines.append(f"  {engine.reason}")
    if engine.figures is not None and engine.ready is not None:
        text = figures_text(engine.figures)
        lines += [f"  {text}"] if text else []
    lines += [f"  {gpu_text(gpu)}" for gpu in engine.gpus]
    started = f"up for {duration(engine.active_s)}" if engine.live else f"was up for {duration(engine.active_s)}"
    start = f", {engine.start_s:.0f} s of it to start" if engine.start_s is not None else ""
    lines.append(f"  {started}{start}, {money(engine.cost_usd)}")
    lines += [f"  {text}" for text in (stop_text(engine),) if text]
    if engine.live and not engine.fits:
        lines.append("  the campaign asks for another model or other options now: the next launch replaces it")
    lines += [f"  warning: {warning}" for warning in engine.warnings]
    if engine.gpu_held_by:
        lines.append(f"  GPU memory still held by {'; '.join(engine.gpu_held_by)}")
    if engine.live:
        lines.append(f"  log: {engine.log}")
    return "\n".join(lines)


def no_engine_text(campaign: str) -> str:
    return f"{campaign} has no kept engine: `pilothouse engine start {campaign}` starts one"
