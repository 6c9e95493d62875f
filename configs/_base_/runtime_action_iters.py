"""runtime_action.py for schedules that count iterations: logs and checkpoints do so too."""

default_scope = "mmaction"
custom_imports = dict(imports=["mmext"], allow_failed_imports=False)

default_hooks = dict(
    runtime_info=dict(type="RuntimeInfoHook"),
    timer=dict(type="IterTimerHook"),
    logger=dict(type="LoggerHook", interval=10, ignore_last=False),
    param_scheduler=dict(type="ParamSchedulerHook"),
    checkpoint=dict(
        type="CheckpointHook", by_epoch=False, interval=100, max_keep_ckpts=1, save_best="auto"
    ),
    sampler_seed=dict(type="DistSamplerSeedHook"),
    # Each rank's batch statistics are its own while it trains.
    sync_buffers=dict(type="SyncBuffersHook"),
    visualization=dict(type="VisualizationHook"),
)

env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method="fork", opencv_num_threads=0),
    dist_cfg=dict(backend="nccl"),
)

vis_backends = [dict(type="LocalVisBackend")]
visualizer = dict(type="ActionVisualizer", vis_backends=vis_backends, name="visualizer")
log_processor = dict(type="LogProcessor", window_size=10, by_epoch=False)

log_level = "INFO"
load_from = None
resume = False
