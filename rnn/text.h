// A short text to predict, letter by letter.
#pragma once

#include <string_view>

namespace rnn {

/// William Shakespeare, Sonnet 18, first printed in the quarto of 1609 (spelling modernised, letters small). Its author
/// died in 1616: no copyright exists anywhere.
inline constexpr std::string_view sonnet =
    R"(shall i compare thee to a summer's day?
thou art more lovely and more temperate.
rough winds do shake the darling buds of may,
and summer's lease hath all too short a date.
sometime too hot the eye of heaven shines,
and often is his gold complexion dimmed,
and every fair from fair sometime declines,
by chance, or nature's changing course, untrimmed;
but thy eternal summer shall not fade,
nor lose possession of that fair thou ow'st,
nor shall death brag thou wander'st in his shade,
when in eternal lines to time thou grow'st.
so long as men can breathe, or eyes can see,
so long lives this, and this gives life to thee.
)";

}  // namespace rnn
