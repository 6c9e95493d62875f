"""The studies: what is asked of each paper, on which data, with which arms, seeds, deciding number.

A study that has a result is never changed: another choice is another study, under another name.
Until then designs are chosen on the development split (make evidence STUDY=… ARGS=--develop).
CONTRIBUTING.md says how a study is designed, docs/evidence/README.md has what came out.
"""

from dev.evidence.studies import action, classification, detection, pose, segmentation

STUDIES = {
    **detection.STUDIES,
    **segmentation.STUDIES,
    **action.STUDIES,
    **classification.STUDIES,
    **pose.STUDIES,
}
