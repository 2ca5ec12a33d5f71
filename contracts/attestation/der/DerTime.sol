// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Slice} from "../Slice.sol";
import {Der} from "./Der.sol";

/// @title Times of certificates (RFC 5280, 4.1.2.5)
/// @notice UTCTime `YYMMDDHHMMSSZ` for the years 1970 to 2049, GeneralizedTime `YYYYMMDDHHMMSSZ` from 2050 on.
library DerTime {
    uint256 private constant UTC_TIME_LENGTH = 13;
    uint256 private constant GENERALIZED_TIME_LENGTH = 15;

    /// Neither UTCTime of 13 characters nor GeneralizedTime of 15.
    error UnsupportedTimeFormat(uint256 tag, uint256 length);
    /// Not digits and a Z, no date of the calendar, before 1970, or in the format for other years.
    error InvalidTime(bytes text);

    /// @notice The time `input` begins with.
    /// @return time unix seconds.
    function read(Slice input) internal pure returns (uint64 time, Slice rest) {
        uint256 tag;
        Slice content;
        (tag, content, rest) = Der.read(input);
        uint256 length = content.length();
        bool utc = tag == Der.UTC_TIME && length == UTC_TIME_LENGTH;
        require(
            utc || (tag == Der.GENERALIZED_TIME && length == GENERALIZED_TIME_LENGTH),
            UnsupportedTimeFormat(tag, length)
        );

        uint256 text = content.peek(length);
        (bool valid, uint256 year) = _pair(text, 11);
        if (utc) {
            year += year < 50 ? 2000 : 1900;
        } else {
            (bool numeric, uint256 century) = _pair(text, 13);
            year += century * 100;
            valid = valid && numeric && year >= 2050;
        }
        bool plausible;
        (plausible, time) = _unixSeconds(text, year);
        if (!valid || !plausible) revert InvalidTime(content.toBytes());
    }

    /// @param text ends with MMDDHHMMSSZ.
    /// @return valid whether it is a moment from 1970 on.
    function _unixSeconds(uint256 text, uint256 year) private pure returns (bool valid, uint64 time) {
        (bool a, uint256 month) = _pair(text, 9);
        (bool b, uint256 day) = _pair(text, 7);
        (bool c, uint256 hour) = _pair(text, 5);
        (bool d, uint256 minute) = _pair(text, 3);
        (bool e, uint256 second) = _pair(text, 1);
        valid = a && b && c && d && e && text & 0xff == 0x5a; // Z
        valid = valid && year >= 1970 && month != 0 && month <= 12 && day != 0 && day <= _daysIn(month, year);
        valid = valid && hour < 24 && minute < 60 && second < 60;
        if (!valid) return (false, 0);
        time = uint64(_daysSinceEpoch(year, month, day) * 1 days + hour * 1 hours + minute * 1 minutes + second);
    }

    function _daysIn(uint256 month, uint256 year) private pure returns (uint256) {
        if (month == 2) return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28;
        // 31 in odd months up to July and in even ones from August on
        return 30 + ((month ^ (month >> 3)) & 1);
    }

    /// Years are counted from March, so that the leap day is a year's last; `year` is at least 1970.
    function _daysSinceEpoch(uint256 year, uint256 month, uint256 day) private pure returns (uint256) {
        if (month < 3) {
            --year;
            month += 12;
        }
        uint256 leapDays = year / 4 - year / 100 + year / 400;
        // (153 m + 2) / 5: days before the m-th month after March; 719,468 days lie between 1 March of year 0 and 1970
        return year * 365 + leapDays + (153 * (month - 3) + 2) / 5 + day - 1 - 719_468;
    }

    /// @param position of the pair's last digit, counted from the end of the text.
    function _pair(uint256 text, uint256 position) private pure returns (bool numeric, uint256 value) {
        // both digits are at most 9 where they are used
        unchecked {
            uint256 tens = ((text >> (8 * position + 8)) & 0xff) - 0x30;
            uint256 ones = ((text >> (8 * position)) & 0xff) - 0x30;
            numeric = tens < 10 && ones < 10;
            value = numeric ? 10 * tens + ones : 0;
        }
    }
}
