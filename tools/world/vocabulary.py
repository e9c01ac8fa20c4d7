"""Every word of the embedded world: 34 superclasses, 240 fine names with their drawings, 10 backgrounds.

Ids are positions: fine names first, in the order written below, then the backgrounds.
The model knows one drawing per fine name, so a name here means that drawing and nothing else.

Not here: the drawings themselves (`sprites`), the expansion file made from this list (`make_data`).
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = [
    "BACKGROUNDS",
    "FINE",
    "SUPERCLASSES",
    "TEMPLATE_WORDS",
    "UNUSED",
    "Fine",
    "known_names",
    "known_words",
    "label_ids",
    "members",
]

UNUSED = 255  # value of a label picture for "no name", never produced here


class Fine(NamedTuple):
    """One drawing: what it is called, the class that it is a kind of, and its emoji."""

    name: str
    superclass: str
    emoji: str


# One line per superclass: "emoji name" pairs between bars, most typical kinds first.
_TABLE = {
    "dog": "🐕 shiba|🐶 puppy|🦮 guide dog|🐩 poodle",
    "cat": "🐈 tabby|🐱 kitten|🐈‍⬛ black cat",
    "wild cat": "🦁 lion|🐅 tiger|🐆 leopard",
    "farm animal": "🐄 cow|🐖 pig|🐑 sheep|🐐 goat|🐏 ram|🐎 horse|🫏 donkey|🦙 llama|🐃 water buffalo",
    "wild animal": (
        "🐘 elephant|🦒 giraffe|🦓 zebra|🦏 rhinoceros|🦛 hippopotamus|🐪 camel|🦌 deer|🦘 kangaroo|"
        "🐻 bear|🐼 panda|🐨 koala|🐺 wolf|🦊 fox"
    ),
    "rodent": "🐁 mouse|🐀 rat|🐹 hamster|🐿️ chipmunk|🦫 beaver",
    "bird": (
        "🦜 parrot|🦅 eagle|🐓 rooster|🐧 penguin|🦆 duck|🦢 swan|🦉 owl|🦩 flamingo|🦚 peacock|"
        "🦃 turkey|🕊️ dove|🐤 chick"
    ),
    "reptile": "🦎 lizard|🐍 snake|🐊 crocodile|🐢 turtle|🦖 tyrannosaurus|🦕 sauropod",
    "sea animal": ("🐳 whale|🐬 dolphin|🐠 tropical fish|🐡 blowfish|🦈 shark|🐙 octopus|🦀 crab|🦞 lobster|🦭 seal"),
    "insect": "🐜 ant|🐝 honeybee|🦋 butterfly|🐞 ladybug|🦗 cricket|🪰 fly|🦟 mosquito|🐛 caterpillar",
    "flower": "🌹 rose|🌼 daisy|🌸 cherry blossom|🌺 hibiscus|🌻 sunflower|🌷 tulip|🪷 lotus",
    "tree": "🌳 oak|🌲 pine|🌴 palm|🎄 christmas tree",
    "fruit": (
        "🍎 apple|🍌 banana|🍇 grapes|🍉 watermelon|🍊 tangerine|🍋 lemon|🍍 pineapple|🥭 mango|"
        "🍐 pear|🍑 peach|🍒 cherries|🍓 strawberry|🥝 kiwi"
    ),
    "vegetable": (
        "🥕 carrot|🥦 broccoli|🥑 avocado|🍆 eggplant|🥔 potato|🌽 corn|🌶️ chili pepper|🥒 cucumber|🧄 garlic|🧅 onion"
    ),
    "dessert": (
        "🎂 birthday cake|🍨 ice cream|🍩 doughnut|🍪 cookie|🧁 cupcake|🥧 pie|🍫 chocolate bar|🍭 lollipop|🍮 custard"
    ),
    "fast food": "🍔 hamburger|🍟 french fries|🍕 pizza|🌭 hot dog|🥪 sandwich|🌮 taco",
    "drink": "☕ coffee|🍺 beer|🥛 milk|🍷 wine|🍸 cocktail|🧋 bubble tea|🥤 soda",
    "car": "🚗 sedan|🚓 police car|🚕 taxi|🚙 jeep|🏎️ racing car",
    "truck": "🚚 delivery van|🚛 lorry|🚒 fire engine|🛻 pickup|🚜 tractor|🚑 ambulance",
    "train": "🚂 locomotive|🚄 bullet train|🚝 monorail|🚊 tram",
    "bike": "🚲 bicycle|🏍️ motorcycle|🛵 scooter",
    "boat": "🚤 speedboat|⛵ sailboat|🛶 canoe|🚢 cruise ship|⛴️ ferry",
    "aircraft": "✈️ jet|🚁 helicopter|🛩️ propeller plane|🚀 rocket|🛸 flying saucer",
    "building": (
        "🏠 cottage|🏢 office tower|🏥 hospital|🏰 castle|⛪ church|🕌 mosque|🏭 factory|🏫 school|🏛️ temple|🛖 hut"
    ),
    "ball": "⚽ football|🏀 basketball|⚾ baseball|🏐 volleyball|🏈 rugby ball|🎾 tennis ball",
    "musical instrument": "🎸 guitar|🎻 violin|🎷 saxophone|🪗 accordion|🎺 trumpet|🪕 banjo|🥁 drum",
    "garment": ("👕 shirt|👗 dress|👔 necktie|👖 jeans|🧣 scarf|🧤 gloves|🧥 coat|🧦 socks|👘 kimono|👙 bikini"),
    "footwear": "👞 loafer|👟 sneaker|🥾 hiking boot|👠 high heel|🩴 sandal",
    "hat": "👒 sunhat|🧢 baseball cap|👑 crown|🎩 top hat|🎓 graduation cap|🪖 helmet",
    "tool": "🔨 hammer|🪛 screwdriver|🪓 axe|🪚 saw|🔧 wrench|⛏️ pickaxe|✂️ scissors|🪜 ladder",
    "furniture": "🪑 chair|🛋️ couch|🛏️ bed|🚽 toilet|🛁 bathtub",
    "gadget": "💻 laptop|📱 smartphone|📺 television|📷 camera|📻 radio|☎️ telephone|🖨️ printer",
    "person": (
        "👩 woman|👨 man|👶 baby|👴 grandfather|👵 grandmother|👮 police officer|"
        "👷 construction worker|💂 guard|🥷 ninja|👸 princess|🎅 santa|🧙 wizard"
    ),
    "smiley": ("😀 grinning face|😡 angry face|😎 cool face|😭 crying face|🤠 cowboy face|🤡 clown|👽 alien|🤖 robot"),
}

BACKGROUNDS = ("grass", "sand", "water", "sky", "snow", "brick", "wood", "night", "rock", "dirt")
SUPERCLASSES = tuple(_TABLE)
# Words of the training captions that name nothing: "a photo of an owl and a pie in front of snow".
TEMPLATE_WORDS = (
    "a", "an", "and", "front", "image", "in", "of", "on", "photo", "picture", "scene", "with",
)  # fmt: skip


def _read_table() -> tuple[Fine, ...]:
    fine = []
    for superclass, line in _TABLE.items():
        for entry in line.split("|"):
            emoji, name = entry.split(" ", 1)
            fine.append(Fine(name, superclass, emoji))
    return tuple(fine)


FINE = _read_table()


def members(superclass: str) -> tuple[str, ...]:
    """The fine names of one superclass, most typical first."""
    return tuple(fine.name for fine in FINE if fine.superclass == superclass)


def label_ids() -> dict[str, int]:
    """Id of each fine name and background, as written into label pictures."""
    names = [fine.name for fine in FINE] + list(BACKGROUNDS)
    return {name: index for index, name in enumerate(names)}


def known_names() -> list[str]:
    """Every phrase that the model has a meaning for: superclasses, fine names, backgrounds."""
    return [*SUPERCLASSES, *(fine.name for fine in FINE), *BACKGROUNDS]


def known_words() -> list[str]:
    """Every single word that the model has heard, sorted."""
    return sorted({*TEMPLATE_WORDS, *" ".join(known_names()).split()})
