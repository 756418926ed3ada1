# How the native addon is built: one shared object, no C++ exceptions, warnings are errors.
{
  'variables': {
    # 1 builds with AddressSanitizer and UndefinedBehaviorSanitizer, see native/test-asan.sh.
    'sanitize%': 0,
  },
  'targets': [
    {
      'target_name': 'pinfold',
      'sources': [
        'native/src/addon.cc',
        'native/src/arena.cc',
        'native/src/arguments.cc',
        'native/src/crc32c.cc',
        'native/src/errors.cc',
        'native/src/files.cc',
        'native/src/memory.cc',
        'native/src/poller.cc',
        'native/src/receive.cc',
        'native/src/shared_buffer.cc',
        'native/src/sockets.cc',
        'native/src/stream.cc',
        'native/src/threads.cc',
        'native/src/transfer.cc',
      ],
      'include_dirs': ['<!(node -p "require(\'node-addon-api\').include_dir")'],
      'defines': [
        'NAPI_VERSION=9',
        'NAPI_DISABLE_CPP_EXCEPTIONS',
        # A worker that is being terminated cannot receive exceptions; that must not abort the process.
        'NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS',
        '_GNU_SOURCE',
        '_FILE_OFFSET_BITS=64',
      ],
      'cflags': ['-Wall', '-Wextra', '-Werror', '-fvisibility=hidden'],
      'cflags_cc!': ['-std=gnu++17', '-std=c++17'],
      'cflags_cc': ['-std=c++20'],
      # Node closes an addon when the last worker that loaded it ends, but a mapping's deleter may run later, in
      # another thread that got the SharedArrayBuffer: the code must stay.
      'ldflags': ['-Wl,-z,nodelete'],
      'conditions': [
        ['sanitize==1', {
          'cflags': ['-fsanitize=address,undefined', '-fno-omit-frame-pointer', '-fno-sanitize-recover=all', '-g'],
          'cflags!': ['-O3'],
          'ldflags': ['-fsanitize=address,undefined'],
        }],
      ],
    },
  ],
}
