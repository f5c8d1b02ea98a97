_base_ = 'mmseg::_base_/default_runtime.py'

custom_imports = dict(imports=['mmoverlock'], allow_failed_imports=False)
custom_hooks = [dict(type='CheckpointGuard')]
