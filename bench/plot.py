"""Bars in SVG, drawn by hand: a file that shows its numbers and nothing else."""

from xml.sax.saxutils import escape

WIDTH, BAR, LEFT, RIGHT = 720, 26, 170, 150
OURS, OTHERS = "#1f6feb", "#8b949e"


def bars(title, unit, rows, note):
    """`rows`: name, value and the range that its rounds covered."""
    height = 64 + BAR * len(rows) + 28
    most = max(high for _, _, (_, high) in rows)
    scale = (WIDTH - LEFT - RIGHT) / most
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
        ' font-family="sans-serif" font-size="13">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="12" y="26" font-size="16" font-weight="bold">{escape(title)}</text>',
        f'<text x="12" y="46" fill="#57606a">{escape(unit)}; the line spans the rounds</text>',
    ]
    for n, (name, value, (low, high)) in enumerate(rows):
        y = 58 + n * BAR
        middle = y + BAR / 2
        colour = OURS if name.startswith("idv-gateway") else OTHERS
        parts += [
            f'<text x="{LEFT - 8}" y="{middle + 5}" text-anchor="end">{escape(name)}</text>',
            f'<rect x="{LEFT}" y="{y + 4}" width="{value * scale:.1f}" height="{BAR - 8}" fill="{colour}"/>',
            f'<path d="M{LEFT + low * scale:.1f} {middle}H{LEFT + high * scale:.1f}" stroke="#24292f" stroke-width="2"/>',
            f'<text x="{LEFT + high * scale + 8:.1f}" y="{middle + 5}">{value:,.1f}</text>',
        ]
    parts += [f'<text x="12" y="{height - 12}" fill="#57606a" font-size="11">{escape(note)}</text>', "</svg>"]
    return "\n".join(parts) + "\n"
