"""Which of espeak-ng's voices train the model, which are kept for evaluation, and how a speaker is drawn."""

import random
from collections.abc import Sequence

from tools.tiny_parakeet.espeak import Voice

HELD_OUT_VARIANTS = ("m5", "Denis", "Alicia", "Hugo", "aunty", "adam", "belinda", "quincy")
"""Never heard in training, in any accent: a formant voice of every kind, and one Klatt voice (adam)."""
_SPELLED = (
    "Alex Andrea Andy Annie AnxiousAndy Diogo Gene Gene2 Henrique Jacky Lee Marco Mario Michael Mike Nguyen "
    "RicishayMax RicishayMax2 RicishayMax3 Storm Tweaky anika announcer antonio benjamin boris caleb croak david ed "
    "edward edward2 f1 f2 f3 f4 f5 fast grandma grandpa gustave iven iven2 iven3 iven4 john kaukovalta klatt klatt2 "
    "klatt3 klatt4 klatt5 klatt6 linda m1 m2 m3 m4 m6 m7 m8 marcelo max michel miguel norbert pablo paul pedro rob "
    "robert robosoft robosoft3 robosoft5 robosoft7 sandro shelby steph steph2 steph3 travis victor zac"
)
TRAINING_VARIANTS = tuple(_SPELLED.split())
"""Of the variants of espeak-ng 1.51 all that sound like a person; whispers, demons and most robots are left out."""
_PLAIN_SHARE = 0.08
"""Share of speakers with an accent's own voice and no variant."""


def random_voice(
    rng: random.Random, accents: Sequence[str], *, seen: bool, variants: Sequence[str] = TRAINING_VARIANTS
) -> Voice:
    """A speaker: accent, variant, rate and melody. `seen`: one of the training's variants, not of the held-out ones."""
    accent = rng.choice(accents)
    if seen and rng.random() < _PLAIN_SHARE:
        name = accent
    else:
        name = f"{accent}+{rng.choice(variants if seen else HELD_OUT_VARIANTS)}"
    return Voice(
        name=name,
        rate=rng.randint(120, 215),
        pitch=rng.randint(15, 85),
        pitch_range=rng.randint(15, 85),
        word_gap=rng.choice((0, 0, 0, 0, 1, 2, 4)),
    )
