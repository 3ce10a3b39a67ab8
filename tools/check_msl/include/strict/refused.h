// 1.5.4: what Metal has not of C++14. The last header to be read, since those before it use some of these words.
#pragma once
#pragma GCC system_header

#pragma GCC poison double virtual new delete throw try catch goto dynamic_cast typeid noexcept register thread_local
#pragma GCC poison std asm wchar_t char16_t char32_t
