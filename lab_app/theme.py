"""Colours and the Gradio theme: one colour and one dash a method, the same in every chart, table and answer.

Hues after Okabe and Ito (2008), safe for colour-blind eyes; each is moved in lightness until it stands at 3:1 against
its background (orange darker on white, blue lighter on black). There are more methods than hues that colour-blind eyes tell
apart, so relatives share a hue (LoRA's a blue, prefixes a green, adapters a purple) and differ in their dash.
Never colour alone: the dash and the name say the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

FONTS = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif"]
MONO = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"]


@dataclass(frozen=True)
class Ink:
    """How one method is drawn: its colour on light and on dark, and its SVG dash pattern."""

    light: str
    dark: str
    dash: str = ""


BASE = Ink("#6b6b6b", "#a3a3a3", "1 3")
SPARE = (Ink("#a3399c", "#e08adb", "3 5"), Ink("#4d7c0f", "#a3d65c", "9 4"))
INKS = {
    "base": BASE,
    "lora": Ink("#0072b2", "#56b4e9"),
    "prompt": Ink("#c77f00", "#f0b840", "7 3"),
    "prefix": Ink("#008a65", "#2cc79a", "2.5 2.5"),
    "partial": Ink("#b8578f", "#e39ac3", "9 3 2 3"),
    "full": Ink("#d55e00", "#ff8a4c", "14 3"),
    "p-tuning": Ink("#8a6d00", "#f0e442", "10 3"),
    "ia3": Ink("#5b5bd6", "#a5a5ff", "4 4"),
    "layernorm": Ink("#00808c", "#3fc1cf", "5 2 1 2"),
    "bitfit": Ink("#7a4a1e", "#d0a070", "12 2 2 2"),
    "few-shot": Ink("#6b6b6b", "#a3a3a3", "6 2 1 2"),
    "zero-shot": BASE,
    "qlora": Ink("#0072b2", "#56b4e9", "14 2 2 2"),
    "sft": Ink("#0072b2", "#56b4e9"),
    "dpo": Ink("#c77f00", "#f0b840", "7 3"),
    "kto": Ink("#b8578f", "#e39ac3", "9 3 2 3"),
    "reward": Ink("#5b5bd6", "#a5a5ff", "4 4"),
    "grpo": Ink("#008a65", "#2cc79a", "2.5 2.5"),
    "chosen": Ink("#0072b2", "#56b4e9"),
    "rejected": Ink("#d55e00", "#ff8a4c", "7 3"),
    "adalora": Ink("#0072b2", "#56b4e9", "11 3"),
    "loha": Ink("#0072b2", "#56b4e9", "5 3"),
    "lokr": Ink("#0072b2", "#56b4e9", "2 3"),
    "p-tuning-v2": Ink("#008a65", "#2cc79a", "8 2 2 2"),
    "llama-adapter": Ink("#c77f00", "#f0b840", "4 2 1 2"),
    "houlsby": Ink("#7b3fa0", "#c792ea"),
    "pfeiffer": Ink("#7b3fa0", "#c792ea", "8 3"),
    "parallel-adapter": Ink("#7b3fa0", "#c792ea", "3 3"),
    "compacter": Ink("#7b3fa0", "#c792ea", "9 2 2 2"),
    "mam": Ink("#7b3fa0", "#c792ea", "12 3 3 3"),
    "adapter-fusion": Ink("#7b3fa0", "#c792ea", "5 2 1 2"),
    "vera": Ink("#3d7a2a", "#8ccf70", "8 3"),
    "oft": Ink("#9a2f6b", "#e07ab5", "6 4"),
    "shira": Ink("#8c3b2e", "#e8907f", "3 4"),
}


def ink(method: str) -> Ink:
    """The ink of a method; one that came later without a line above still gets a fixed one of its own."""
    return INKS.get(method) or SPARE[sum(map(ord, method)) % len(SPARE)]


def stylesheet(methods: list[str]) -> str:
    """CSS that gives everything under `data-method=KEY` its colour in `--ink` and its dash in `--dash`."""
    keys = ["base", *methods]
    light = "\n".join(f'[data-method="{k}"]{{--ink:{ink(k).light};--dash:{ink(k).dash or "none"}}}' for k in keys)
    dark = "\n".join(f'.dark [data-method="{k}"]{{--ink:{ink(k).dark}}}' for k in keys)
    return f"{light}\n{dark}\n"


def theme() -> gr.themes.Base:
    """Plain surfaces, one accent, the system's own fonts: nothing is fetched."""
    return gr.themes.Base(
        primary_hue="blue", secondary_hue="gray", neutral_hue="gray", radius_size="sm", font=FONTS, font_mono=MONO
    ).set(
        body_background_fill="#ffffff",
        body_background_fill_dark="#14161a",
        background_fill_primary="#ffffff",
        background_fill_primary_dark="#14161a",
        block_background_fill="transparent",
        block_background_fill_dark="transparent",
        block_border_width="0px",
        block_label_background_fill="transparent",
        block_label_background_fill_dark="transparent",
        block_padding="4px 0px",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_400",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_400",
        button_primary_background_fill="#0067b8",
        button_primary_background_fill_hover="#00549a",
        button_primary_background_fill_dark="#2f8fdd",
        button_primary_background_fill_hover_dark="#56a8ea",
        button_primary_text_color="#ffffff",
        button_primary_text_color_dark="#06121f",
        input_background_fill_dark="#1d2026",
        checkbox_label_background_fill="transparent",
        checkbox_label_background_fill_dark="transparent",
        checkbox_label_background_fill_selected="*primary_50",
        checkbox_label_background_fill_selected_dark="#1c2c3c",
        checkbox_label_border_width="1px",
        checkbox_label_border_color="*neutral_300",
        checkbox_label_border_color_dark="*neutral_700",
        checkbox_label_padding="5px 12px",
    )
