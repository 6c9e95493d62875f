"""Action recognition: motion in the net."""

from dev.evidence.changes import (
    all_of,
    frames_alone,
    frames_shifted,
    on_held_out_photographs,
    without_branch,
)
from dev.evidence.study import Arm, Measure, Study

STM = "configs/action/stm/stm_r14_1xb8-800i_motion.py"

STUDIES = {
    "stm": Study(
        question="Do learned shifts and motion see camera motion better than a fixed shift?",
        data_name="camera motion, five unseen photographs",
        limits="anything about human action, Kinetics or large nets",
        arms={
            "TSN: frames alone": Arm(STM, all_of(on_held_out_photographs, frames_alone)),
            "TSM: fixed shift": Arm(STM, all_of(on_held_out_photographs, frames_shifted)),
            "STM, CSTM only": Arm(STM, all_of(on_held_out_photographs, without_branch("use_cmm"))),
            "STM, CMM only": Arm(STM, all_of(on_held_out_photographs, without_branch("use_cstm"))),
            "STM": Arm(STM, on_held_out_photographs),
        },
        baseline="TSM: fixed shift",
        claim="STM",
        primary="top-1",
        measures={"top-1": Measure("acc/top1")},
        data=("camera_motion",),
        pairs=(("TSM: fixed shift", "TSN: frames alone"),),
        start="TSN: frames alone",
        aliases={r"(layer\d+\.\d+\.conv1\.conv)\.weight$": r"\1.net.weight"},
    ),
}
